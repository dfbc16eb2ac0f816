package evacuate

import (
	"slices"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// look finds out how what was moved is doing, and how much is in motion.
func (t *turn) look() {
	t.room = t.newRoom()
	t.lagging = t.budgetsBehind()
	for _, key := range sortedKeys(t.workloads) {
		w := t.workloads[key]
		t.bookComing(w)
		if _, ok := t.mem.Acted[key]; !ok && (t.oursRolling(w) || w.raised()) {
			move := MoveRoll
			if w.raised() {
				move = MoveSurge
			}
			t.mem.Acted[key] = Acted{UID: w.UID, Move: move, At: t.now, Weight: max(1, t.transit(w)), Before: w.base, Tries: 1}
		}
	}
	for _, key := range sortedKeys(t.mem.Acted) {
		a := t.mem.Acted[key]
		w := t.workloads[key]
		if w == nil || w.dangling || w.UID != a.UID {
			delete(t.mem.Acted, key)
			continue
		}
		sick := t.sick(w, a)
		t.troubles = append(t.troubles, sick...)
		if t.healthy(w, a) && len(sick) == 0 {
			a.Looks++
		} else {
			a.Looks = 0
		}
		proven := a.Looks > 0 && a.Looks >= t.in.Pace.HealthPasses
		if proven && len(w.leave) == 0 && !w.raised() && !w.shaped() {
			delete(t.mem.Acted, key)
			continue
		}
		t.mem.Acted[key] = a
		if !proven && (len(sick) == 0 || !t.in.Back) {
			t.unproven = append(t.unproven, key)
			t.motion += max(a.Weight, t.missing(w, a))
		}
		if a.Move == MoveRoll && !w.settled() {
			for _, p := range w.leave[:w.unmadeOf()] {
				t.place(p) // the rest of a restart has its room already
			}
		}
	}
}

// bookComing books room for the pods of a workload that are on no node yet, and
// for those that its controller has yet to make.
func (t *turn) bookComing(w *workload) {
	if w.Kind == fleet.DaemonSet || w.Kind == fleet.Job || len(w.pods) == 0 {
		return
	}
	there := len(w.leave) + len(w.stay)
	for _, p := range w.stay {
		if p.Node == "" {
			t.place(p)
		}
	}
	if _, acted := t.mem.Acted[w.key]; acted && w.Kind != fleet.Other {
		for range min(int(w.Replicas)-there, len(w.pods)) {
			t.place(w.pods[0])
		}
	}
}

// unmadeOf is how many of its leaving pods a workload under restart has no new
// pod for yet: those that have one need no more room, it has theirs.
func (w *workload) unmadeOf() int {
	return min(len(w.leave), max(0, int(w.Replicas)-len(w.stay)))
}

// transit is how many pods of a workload are between two nodes.
func (t *turn) transit(w *workload) int { return max(0, w.base-w.available) }

// missing is how many pods a workload lacks of what it had.
func (t *turn) missing(w *workload, a Acted) int {
	want := min(w.base, a.Before)
	if w.Kind == fleet.Other && t.now.Sub(a.At) < patience {
		want = a.Before // its controller does not say how many it wants
	}
	return max(0, want-w.available)
}

// healthy reports whether a workload that was moved is back to what it was.
func (t *turn) healthy(w *workload, a Acted) bool {
	if w.Kind == fleet.Job {
		return true // it starts again by its own rules
	}
	if !w.settled() && !a.Ailing || t.missing(w, a) > 0 {
		return false
	}
	if w.raised() && w.available < int(w.Replicas) {
		return false
	}
	if a.Move == MoveRoll && len(w.leave) > 0 && t.now.Sub(a.At) < staleAfter {
		return false // the restart is not in the snapshot yet
	}
	return true
}

// failing are the reasons for which a container does not come up by itself soon.
var failing = []string{
	"CrashLoopBackOff", "ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull",
	"CreateContainerConfigError", "CreateContainerError", "RunContainerError",
}

// sick lists what keeps a workload that was moved from coming back.
func (t *turn) sick(w *workload, a Acted) []trouble {
	if a.Ailing {
		return nil
	}
	var out []trouble
	if w.ProgressFailed != "" && a.Move == MoveRoll && t.oursRolling(w) {
		out = append(out, trouble{w.key, "does not come up again: " + w.ProgressFailed, true})
	}
	for _, p := range w.stay {
		if p.Ready || a.Before < w.base && !t.ours(p) && p.CreatedAt.Before(a.At.Add(-staleAfter)) {
			continue // it was like that before
		}
		grave := !p.CreatedAt.IsZero() && t.now.Sub(p.CreatedAt) > patience
		switch {
		case p.Unschedulable != "":
			out = append(out, trouble{w.key, "pod " + p.key + " finds no node: " + p.Unschedulable, grave})
		case slices.Contains(failing, p.WaitingReason):
			out = append(out, trouble{w.key, "pod " + p.key + " does not start on node " + p.Node + ": " + p.WaitingReason, grave})
		}
	}
	return out
}
