package gate

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// RingView is all that the next step of a ring depends on.
type RingView struct {
	Ring     fleet.Ring
	Clusters []ClusterState // in the order in which they are to start
	// Before says why the rings before do not let this one start; "" when they do.
	Before  string
	Opening Opening
	Given   []Given
	Paused  bool
	Aborted bool
	// EndedAt is when the last cluster ended, for the soak; zero while some have not.
	EndedAt time.Time
	Now     time.Time
}

// ClusterState is where one cluster of the ring stands.
type ClusterState struct {
	ID, Name string
	State    fleet.State
	Started  bool
	Forecast time.Duration // how long it is expected to take; zero for unknown
}

// Opening is what the ring's windows and freezes say at this moment.
type Opening struct {
	Open   bool
	Closes time.Time // when open; zero for never
	Opens  time.Time // when closed; zero for never
	Reason string    // when closed
}

// RingStepKind is what a ring does next.
type RingStepKind string

// The steps of a ring.
const (
	RingAwait RingStepKind = "await" // Reason says for what; Until when something may change by itself
	RingStart RingStepKind = "start" // start the clusters in Start
	RingSoak  RingStepKind = "soak"  // all have ended well: watch until Until
	RingProve RingStepKind = "prove" // soak is over, approvals are there: record what is proven
	RingFail  RingStepKind = "fail"  // ended short of its minimum
	RingSkip  RingStepKind = "skip"  // has no cluster to upgrade: proves nothing, holds up nobody
)

// RingStep is a decision about a ring.
type RingStep struct {
	Kind   RingStepKind
	Start  []string // cluster ids
	Until  time.Time
	State  fleet.State
	Reason string
	// Approvals that are waited for.
	Approvals []fleet.Approval
}

// tally counts the clusters of a ring.
type tally struct {
	counted, ended, running, succeeded, failed, notStarted, setAside int
}

func count(v RingView) tally {
	var t tally
	for _, c := range v.Clusters {
		switch c.State {
		case fleet.StateSkipped:
			continue
		case fleet.StateSetAside:
			t.setAside++
			t.ended++
			if v.Ring.Failures.FailOnSetAside {
				t.failed++
				t.counted++
			}
			continue
		case fleet.StateSucceeded:
			t.succeeded++
		case fleet.StateFailed, fleet.StateAborted, fleet.StateRolledBack:
			t.failed++
		case fleet.StatePending, fleet.StateWaiting, fleet.StateRunning, fleet.StateSoaking, fleet.StatePaused, fleet.StateRollingBack, fleet.StateBlocked:
		}
		t.counted++
		switch {
		case c.State.Ended():
			t.ended++
		case c.Started:
			t.running++
		default:
			t.notStarted++
		}
	}
	return t
}

// NextRingStep says what a ring does next.
func NextRingStep(v RingView) RingStep {
	t := count(v)
	if t.counted == 0 && t.setAside == 0 {
		return RingStep{Kind: RingSkip, State: fleet.StateSkipped, Reason: "no cluster of the fleet belongs to this ring, or all were skipped"}
	}
	if t.running == 0 && t.notStarted == 0 {
		return v.end(t)
	}
	allowed := v.Ring.Failures.Allowed.Of(t.counted)
	if t.failed > allowed {
		why := fmt.Sprintf("%d of %d clusters failed, %d may", t.failed, t.counted, allowed)
		if t.running > 0 {
			return RingStep{Kind: RingAwait, State: fleet.StateRunning, Reason: why + ": nothing new is started, what runs may finish"}
		}
		return RingStep{Kind: RingFail, State: fleet.StateFailed, Reason: why + "; find the cause, then: liftlock retry"}
	}
	await := func(state fleet.State, until time.Time, reason string) RingStep {
		if t.running > 0 {
			state = fleet.StateRunning
		}
		return RingStep{Kind: RingAwait, State: state, Until: until, Reason: reason}
	}
	switch {
	case v.Aborted:
		if t.running > 0 {
			return await(fleet.StateRunning, time.Time{}, "aborted: what runs stops at its next safe point")
		}
		return RingStep{Kind: RingFail, State: fleet.StateAborted, Reason: "aborted by a person"}
	case v.Before != "":
		return await(fleet.StatePending, time.Time{}, v.Before)
	case v.Paused:
		return await(fleet.StatePaused, time.Time{}, "paused by a person; go on with: liftlock resume")
	case t.notStarted == 0:
		return await(fleet.StateRunning, time.Time{}, fmt.Sprintf("%d of %d clusters under way", t.running, t.counted))
	}
	if missing, why := Missing(v.Ring.Before, v.Given, v.Now); len(missing) > 0 {
		s := await(fleet.StateWaiting, time.Time{}, why)
		s.Approvals = missing
		return s
	}
	if !v.Opening.Open {
		return await(fleet.StateWaiting, v.Opening.Opens, v.Opening.Reason)
	}
	free := v.Ring.Concurrency.Of(t.counted) - t.running
	if free <= 0 {
		return await(fleet.StateRunning, time.Time{}, fmt.Sprintf("%d clusters at once, as the ring allows", t.running))
	}
	return v.start(free, await)
}

// start picks the clusters that may begin now: those whose forecast says that
// they finish before the window closes.
func (v RingView) start(free int, await func(fleet.State, time.Time, string) RingStep) RingStep {
	var ids, names, unfit []string
	for _, c := range v.Clusters {
		if c.Started || c.State.Ended() || len(ids) == free {
			continue
		}
		if closes := v.Opening.Closes; !closes.IsZero() && c.Forecast > 0 && v.Now.Add(c.Forecast).After(closes) {
			unfit = append(unfit, fmt.Sprintf("%s (about %s)", c.Name, c.Forecast.Round(time.Minute)))
			continue
		}
		ids, names = append(ids, c.ID), append(names, c.Name)
	}
	if len(ids) == 0 {
		return await(fleet.StateWaiting, v.Opening.Closes, fmt.Sprintf("too late in this window, which closes %s, to finish %s; they start in the next one",
			v.Opening.Closes.Format(time.RFC3339), strings.Join(unfit, ", ")))
	}
	return RingStep{Kind: RingStart, State: fleet.StateRunning, Start: ids, Reason: "start " + strings.Join(names, ", ")}
}

// end decides about a ring of which every cluster has ended.
func (v RingView) end(t tally) RingStep {
	need := v.Ring.Failures.Needed(t.counted)
	switch {
	case v.Aborted:
		return RingStep{Kind: RingFail, State: fleet.StateAborted, Reason: "aborted by a person before its versions were proven"}
	case t.counted == 0:
		return RingStep{Kind: RingFail, State: fleet.StateFailed, Reason: fmt.Sprintf("all %d clusters are set aside (%s): nothing was proven", t.setAside, v.names(fleet.StateSetAside))}
	case t.succeeded < need || t.succeeded == 0:
		return RingStep{Kind: RingFail, State: fleet.StateFailed, Reason: fmt.Sprintf("%d of %d clusters succeeded, at least %d must: nothing is proven; failed: %s",
			t.succeeded, t.counted, max(need, 1), v.names(fleet.StateFailed, fleet.StateAborted, fleet.StateRolledBack))}
	}
	if until := v.EndedAt.Add(v.Ring.Soak); v.Now.Before(until) {
		return RingStep{Kind: RingSoak, State: fleet.StateSoaking, Until: until, Reason: fmt.Sprintf("%d of %d clusters succeeded; soaking until %s", t.succeeded, t.counted, until.UTC().Format(time.RFC3339))}
	}
	if missing, why := Missing(v.Ring.After, v.Given, v.Now); len(missing) > 0 {
		return RingStep{Kind: RingAwait, State: fleet.StateWaiting, Reason: why, Approvals: missing}
	}
	return RingStep{Kind: RingProve, State: fleet.StateSucceeded, Reason: fmt.Sprintf("%d of %d clusters succeeded and soaked %s", t.succeeded, t.counted, v.Ring.Soak)}
}

func (v RingView) names(states ...fleet.State) string {
	var names []string
	for _, c := range v.Clusters {
		if slices.Contains(states, c.State) {
			names = append(names, c.Name)
		}
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
