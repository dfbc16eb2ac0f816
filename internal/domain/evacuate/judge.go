package evacuate

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// judge says where the evacuation stands, in words as well.
func (t *turn) judge() {
	left := len(t.moving) + t.behind
	if t.mem.Left > left || t.in.Hold != "" {
		t.mem.LastProgress = t.now
	}
	t.mem.Left = left
	t.mem.Total = max(t.mem.Total, left)
	t.pass.Total, t.pass.Moved, t.pass.InMotion = t.mem.Total, t.mem.Total-left, t.motion

	counts := map[Move]int{}
	var blocked, waiting []string
	for _, v := range t.pass.Verdicts {
		counts[v.Move]++
		switch v.Move {
		case MoveRefuse, MoveBlocked:
			blocked = append(blocked, "pod "+v.Pod+": "+v.Reason)
		case MoveWait:
			waiting = append(waiting, "pod "+v.Pod+": "+v.Reason)
			t.mem.LastProgress = t.jobProgress(v)
		case MoveRoll, MoveSurge, MoveEvict, MoveOrdered:
			waiting = append(waiting, "pod "+v.Pod+": "+v.Reason)
		case MoveDone:
		}
	}
	for _, tr := range t.troubles {
		if _, moved := t.mem.Acted[tr.object]; tr.grave && moved {
			t.pass.NotBack = append(t.pass.NotBack, tr.object)
		}
	}
	t.pass.NotBack = slices.Compact(t.pass.NotBack)
	t.report()
	t.pass.Findings = sortFindings(t.pass.Findings)
	t.pass.Status = t.status(counts, len(blocked), len(waiting))
	t.pass.Reason = t.reason(blocked, waiting)
}

// jobProgress keeps a bounded wait for a Job from looking like a standstill.
func (t *turn) jobProgress(v Verdict) time.Time {
	if w := t.workloads[v.Workload]; w != nil && w.Kind == fleet.Job {
		return t.now
	}
	return t.mem.LastProgress
}

// status names the state of the evacuation.
func (t *turn) status(counts map[Move]int, blocked, waiting int) Status {
	grave := slices.ContainsFunc(t.troubles, func(tr trouble) bool { return tr.grave })
	switch {
	case grave && !t.in.Back:
		return StatusBlocked
	case len(t.pass.Actions) > 0:
		return StatusMoving
	case len(t.moving) == 0 && len(t.gates) == 0 && t.closed() && (len(t.mem.Acted) == 0 || t.in.Back && t.motion == 0 && !t.marked()):
		return StatusDone
	case t.motion > 0 || counts[MoveDone] > 0 || len(t.mem.Acted) > 0 && t.in.Hold == "" && waiting > 0 && t.stop == "":
		return StatusMoving
	case t.in.Hold != "":
		return StatusHolding
	case grave && waiting == 0:
		return StatusBlocked
	case waiting > 0 || blocked == 0 || t.stop != "":
		return StatusWaiting
	}
	return StatusBlocked
}

// marked reports whether a workload that was moved still bears a surge or a shape.
func (t *turn) marked() bool {
	for key := range t.mem.Acted {
		if w := t.workloads[key]; w != nil && (w.raised() || w.shaped()) {
			return true
		}
	}
	return false
}

// closed reports whether no leaving node takes new pods.
func (t *turn) closed() bool {
	for _, nodes := range []map[string]bool{t.leaving, t.closing} {
		for name := range nodes {
			if n := t.nodes[name]; n != nil && !n.Unschedulable {
				return false
			}
		}
	}
	return true
}

// reason says in words how the evacuation stands.
func (t *turn) reason(blocked, waiting []string) string {
	progress := fmt.Sprintf("%d of %d pods have left", t.pass.Moved, t.pass.Total)
	var parts []string
	switch t.pass.Status {
	case StatusDone:
		if t.pass.Total == 0 {
			return "there was nothing to move"
		}
		if sick := len(t.mem.Acted); sick > 0 {
			return fmt.Sprintf("all %d pods have left; %d workloads do not come back: %s", t.pass.Total, sick, some(sortedKeys(t.mem.Acted)))
		}
		return fmt.Sprintf("all %d pods have left, and everything that moved is back", t.pass.Total)
	case StatusMoving:
		parts = append(parts, progress, fmt.Sprintf("%d in motion", t.motion))
		switch {
		case t.stop != "":
			parts = append(parts, t.stop)
		case len(t.gates) > 0 && t.motion == 0:
			parts = append(parts, "waits: "+t.gates[sortedKeys(t.gates)[0]])
		}
	case StatusHolding:
		parts = append(parts, progress, "nothing new is started: "+t.in.Hold)
	case StatusWaiting:
		parts = append(parts, progress)
		switch {
		case t.stop != "":
			parts = append(parts, t.stop)
		case len(waiting) > 0:
			parts = append(parts, some(waiting))
		case len(t.gates) > 0:
			parts = append(parts, "waits: "+t.gates[sortedKeys(t.gates)[0]])
		case len(t.mem.Acted) > 0:
			parts = append(parts, "waits until "+some(sortedKeys(t.mem.Acted))+" is back")
		}
	case StatusBlocked:
		parts = append(parts, progress)
		for _, tr := range t.troubles {
			if tr.grave {
				parts = append(parts, tr.object+": "+tr.what)
			}
		}
	}
	if len(blocked) > 0 {
		parts = append(parts, fmt.Sprintf("%d cannot be moved: %s", len(blocked), some(blocked)))
	}
	if t.pass.Status == StatusBlocked || t.still() {
		for _, f := range t.pass.Findings {
			if f.Severity != fleet.Info && f.Remedy != "" {
				parts = append(parts, "for "+f.Object+": "+f.Remedy)
				break
			}
		}
	}
	return strings.Join(parts, "; ")
}
