package gate

import (
	"fmt"
	"path"
	"strings"
	"testing"
	"time"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// clusters reads "a:Succeeded b:Running* c": a star means started.
func clusters(s string) []ClusterState {
	var out []ClusterState
	for f := range strings.FieldsSeq(s) {
		name, state, _ := strings.Cut(f, ":")
		started := strings.HasSuffix(state, "*")
		state = strings.TrimSuffix(state, "*")
		if state == "" {
			state = string(fleet.StatePending)
		}
		out = append(out, ClusterState{ID: "/" + name, Name: name, State: fleet.State(state), Started: started, Forecast: time.Hour})
	}
	return out
}

func TestNextRingStep(t *testing.T) {
	const allOfTen = "a:Succeeded b:Succeeded c:Succeeded d:Succeeded e:Succeeded f:Succeeded g:Succeeded h:Succeeded i:Succeeded j:Succeeded"
	before := []fleet.Approval{{Name: "go", Role: "boss"}}
	tests := []struct {
		name     string
		clusters string
		change   func(*RingView)
		want     string // kind, state and what is started
		reason   string
	}{
		{"starts one by one", "a b c", nil, "start Running /a", "start a"},
		{"starts as many as it may", "a b c", func(v *RingView) { v.Ring.Concurrency.Count = 2 }, "start Running /a /b", "start a, b"},
		{"half of three is one", "a b c", func(v *RingView) { v.Ring.Concurrency.Percent = 50 }, "start Running /a", ""},
		{"fills what is free", "a:Running* b:Succeeded c d", func(v *RingView) { v.Ring.Concurrency.Count = 2 }, "start Running /c", ""},
		{"nothing is free", "a:Running* b", nil, "await Running", "1 clusters at once"},
		{"a blocked one counts as running", "a:Blocked* b", nil, "await Running", ""},
		{"all are under way", "a:Running* b:Succeeded", nil, "await Running", "1 of 2"},
		{"no cluster", "", nil, "skip Skipped", "no cluster"},
		{"all skipped", "a:Skipped b:Skipped", nil, "skip Skipped", ""},
		{"the rings before are not through", "a", func(v *RingView) { v.Before = "waits for ring dev (Running)" }, "await Pending", "ring dev"},
		// Windows and freezes.
		{"closed", "a", func(v *RingView) { v.Opening = Opening{Opens: noon.Add(time.Hour), Reason: "frozen"} }, "await Waiting until 13:00", "frozen"},
		{"closed while one runs", "a:Running* b", func(v *RingView) { v.Ring.Concurrency.Count = 2; v.Opening = Opening{Reason: "frozen"} }, "await Running", "frozen"},
		{"fits to the second", "a", func(v *RingView) { v.Opening.Closes = noon.Add(time.Hour) }, "start Running /a", ""},
		{"too late", "a", func(v *RingView) { v.Opening.Closes = noon.Add(time.Hour - time.Second) }, "await Waiting until 12:59", "too late in this window"},
		{"a smaller one still fits", "a b", func(v *RingView) {
			v.Opening.Closes = noon.Add(30 * time.Minute)
			v.Clusters[1].Forecast = 20 * time.Minute
		}, "start Running /b", ""},
		{"of unknown length: may start", "a", func(v *RingView) { v.Opening.Closes = noon.Add(time.Minute); v.Clusters[0].Forecast = 0 }, "start Running /a", ""},
		// Failure budget.
		{"first failure stops", "a:Failed b c", nil, "fail Failed", "1 of 3 clusters failed, 0 may"},
		{"what runs may finish", "a:Failed b:Running* c", nil, "await Running", "nothing new is started"},
		{"an allowed failure", "a:Failed b c", func(v *RingView) { v.Ring.Failures.Allowed.Count = 1 }, "start Running /b", ""},
		{"ten percent of nine is none", "a:Failed b c d e f g h i", func(v *RingView) { v.Ring.Failures.Allowed.Percent = 10 }, "fail Failed", "0 may"},
		{"ten percent of ten is one", "a:Failed b c d e f g h i j", func(v *RingView) { v.Ring.Failures.Allowed.Percent = 10 }, "start Running /b", ""},
		{"rolled back counts as failed", "a:RolledBack b", nil, "fail Failed", ""},
		{"aborted counts as failed", "a:Aborted b", nil, "fail Failed", ""},
		{"skipped ones do not count", "a:Skipped b", nil, "start Running /b", ""},
		{"set aside does not count", "a:SetAside b", nil, "start Running /b", ""},
		{"set aside counts by policy", "a:SetAside b", func(v *RingView) { v.Ring.Failures.FailOnSetAside = true }, "fail Failed", "1 of 2"},
		// Minimum success.
		{"all succeeded", allOfTen, nil, "prove Succeeded", "10 of 10"},
		{"one short of all", strings.Replace(allOfTen, "Succeeded", "Failed", 1), nil, "fail Failed", "at least 10"},
		{"95 % of ten is ten", strings.Replace(allOfTen, "Succeeded", "Failed", 1), func(v *RingView) { v.Ring.Failures.MinSuccess.Percent = 95 }, "fail Failed", "at least 10"},
		{"90 % of ten is nine", strings.Replace(allOfTen, "Succeeded", "Failed", 1), func(v *RingView) { v.Ring.Failures.MinSuccess.Percent = 90 }, "prove Succeeded", "9 of 10"},
		{"a count", "a:Failed b:Succeeded", func(v *RingView) { v.Ring.Failures.MinSuccess.Count = 1 }, "prove Succeeded", ""},
		{"a count beyond the ring", "a:Succeeded b:Succeeded", func(v *RingView) { v.Ring.Failures.MinSuccess.Count = 5 }, "prove Succeeded", ""},
		{"nothing succeeded is never enough", "a:Failed", func(v *RingView) { v.Ring.Failures.MinSuccess.Percent = 1; v.Ring.Failures.Allowed.Count = 9 }, "fail Failed", ""},
		{"all set aside proves nothing", "a:SetAside b:SetAside", nil, "fail Failed", "nothing was proven"},
		{"set aside beside a success", "a:SetAside b:Succeeded", nil, "prove Succeeded", "1 of 1"},
		{"set aside by policy beside a success", "a:SetAside b:Succeeded", func(v *RingView) { v.Ring.Failures.FailOnSetAside = true }, "fail Failed", "a"},
		// Soak and approvals.
		{"soaks from the last end", "a:Succeeded b:Succeeded", func(v *RingView) {
			v.Ring.Soak, v.EndedAt = 2*time.Hour, noon.Add(-time.Hour)
		}, "soak Soaking until 13:00", ""},
		{"soak over", "a:Succeeded", func(v *RingView) { v.Ring.Soak, v.EndedAt = time.Hour, noon.Add(-time.Hour) }, "prove Succeeded", ""},
		{"approval before", "a", func(v *RingView) { v.Ring.Before = before }, "await Waiting wants go", "not given"},
		{"approval before, given", "a", func(v *RingView) {
			v.Ring.Before = before
			v.Given = []Given{{Name: "go", Role: "boss", By: "ann", At: noon}}
		}, "start Running /a", ""},
		{"approval before, of another role", "a", func(v *RingView) {
			v.Ring.Before = before
			v.Given = []Given{{Name: "go", Role: "clerk", At: noon}}
		}, "await Waiting wants go", ""},
		{"approval before has run out between two clusters", "a:Succeeded b", func(v *RingView) {
			v.Ring.Before = []fleet.Approval{{Name: "go", Role: "boss", Expires: time.Hour}}
			v.Given = []Given{{Name: "go", Role: "boss", By: "ann", At: noon.Add(-time.Hour)}}
		}, "await Waiting wants go", "given by ann, but expired 2026-03-01T12:00:00Z"},
		{"approval after waits for the soak", "a:Succeeded", func(v *RingView) {
			v.Ring.After, v.Ring.Soak, v.EndedAt = before, time.Hour, noon
		}, "soak Soaking until 13:00", ""},
		{"approval after", "a:Succeeded", func(v *RingView) { v.Ring.After = before }, "await Waiting wants go", ""},
		// People.
		{"paused", "a", func(v *RingView) { v.Paused = true }, "await Paused", "liftlock resume"},
		{"paused while one runs", "a:Running* b", func(v *RingView) { v.Paused = true; v.Ring.Concurrency.Count = 2 }, "await Running", "paused"},
		{"aborted", "a:Succeeded b", func(v *RingView) { v.Aborted = true }, "fail Aborted", "by a person"},
		{"aborted while one runs", "a:Running* b", func(v *RingView) { v.Aborted = true }, "await Running", "next safe point"},
		{"aborted at the end", "a:Aborted b:Succeeded", func(v *RingView) { v.Aborted = true }, "fail Aborted", ""},
		{"aborted in the soak: nothing is proven", "a:Succeeded", func(v *RingView) {
			v.Aborted, v.Ring.Soak, v.EndedAt = true, time.Hour, noon
		}, "fail Aborted", ""},
		{"aborted before a later ring begins", "a", func(v *RingView) { v.Aborted, v.Before = true, "waits" }, "fail Aborted", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := RingView{Ring: fleet.Ring{Name: "r"}, Clusters: clusters(tt.clusters), Opening: Opening{Open: true}, Now: noon}
			if tt.change != nil {
				tt.change(&v)
			}
			step := NextRingStep(v)
			got := strings.TrimSpace(fmt.Sprintf("%s %s %s", step.Kind, step.State, strings.Join(step.Start, " ")))
			if !step.Until.IsZero() {
				got += " until " + step.Until.Format("15:04")
			}
			for _, a := range step.Approvals {
				got += " wants " + a.Name
			}
			if got != tt.want || !strings.Contains(step.Reason, tt.reason) || step.Reason == "" {
				t.Errorf("got %q (%s), want %q (… %s …)", got, step.Reason, tt.want, tt.reason)
			}
		})
	}
}

func TestMissing(t *testing.T) {
	needed := []fleet.Approval{{Name: "go", Role: "boss", Expires: time.Hour}, {Name: "go", Role: "audit"}}
	given := []Given{
		{Name: "go", Role: "boss", By: "ann", At: noon.Add(-2 * time.Hour)},
		{Name: "go", Role: "boss", By: "ben", At: noon.Add(-time.Minute)},
	}
	missing, why := Missing(needed, given, noon)
	if len(missing) != 1 || missing[0].Role != "audit" || !strings.Contains(why, `approval "go" of role audit: not given`) {
		t.Errorf("got %v, %s", missing, why)
	}
	// A later renewal counts, wherever it stands in the list.
	if missing, why := Missing(needed[:1], []Given{given[1], given[0]}, noon); len(missing) != 0 {
		t.Errorf("got %v, %s", missing, why)
	}
	if missing, _ := Missing(needed[:1], given, noon.Add(2*time.Hour)); len(missing) != 1 {
		t.Error("an approval that has run out still counts")
	}
	if missing, why := Missing(nil, given, noon); missing != nil || why != "" {
		t.Errorf("nothing is needed: got %v, %q", missing, why)
	}
}

func TestAccepted(t *testing.T) {
	match := func(pattern, name string) bool { ok, err := path.Match(pattern, name); return err == nil && ok }
	f := fleet.Finding{ID: "bare-pod", Cluster: "prod-1", Object: "Pod/x"}
	tests := []struct {
		name string
		a    fleet.Acceptance
		want bool
	}{
		{"everywhere", fleet.Acceptance{Finding: "bare-pod"}, true},
		{"another finding", fleet.Acceptance{Finding: "local-data"}, false},
		{"cluster fits", fleet.Acceptance{Finding: "bare-pod", Cluster: "prod-*"}, true},
		{"cluster does not fit", fleet.Acceptance{Finding: "bare-pod", Cluster: "dev-*"}, false},
		{"object does not fit", fleet.Acceptance{Finding: "bare-pod", Cluster: "prod-*", Object: "Pod/y"}, false},
		{"still holds", fleet.Acceptance{Finding: "bare-pod", Until: noon.Add(time.Second)}, true},
		{"has run out", fleet.Acceptance{Finding: "bare-pod", Until: noon}, false},
	}
	for _, tt := range tests {
		got := Accepted([]fleet.Acceptance{{Finding: "other"}, tt.a}, f, noon, match)
		if (got != nil) != tt.want {
			t.Errorf("%s: got %v", tt.name, got)
		}
	}
}
