package cli

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/rollout"
)

// busyFrom is the share of busy time from which it is worth a word.
const busyFrom = 0.8

// drawRehearsal draws what came of a rehearsal for people.
func drawRehearsal(w io.Writer, r *rollout.Rehearsal) {
	result := "NOT THROUGH"
	if r.Went {
		result = "WENT THROUGH"
	}
	fmt.Fprintf(w, "%s: cluster %s to %s\n  %s\n", result, r.Cluster, r.Target, r.Verdict)
	drawRefused(w, r)
	for i := range r.Pools {
		drawRehearsedPool(w, &r.Pools[i])
	}
	drawHomeless(w, r.Homeless)
	if len(r.Refusals) > 0 {
		fmt.Fprintln(w, "\nrefused while pods moved, and tried again:")
		some(w, r.Refusals, func(b rollout.BudgetRefusal) {
			fmt.Fprintf(w, "  %s (%s), %d times: %s\n", b.Object, b.Move, b.Times, b.Message)
		})
	}
	drawWorkloads(w, r.Workloads)
	drawObjects(w, r)
	if r.Busy > busyFrom {
		fmt.Fprintf(w, "\nthis machine's processors were busy for %.0f %% of the time, which makes times longer than the cluster's: a lower --speed is nearer\n", 100*r.Busy)
	}
	fmt.Fprintf(w, "\nrehearsed at %g times the cluster's speed, in %s all in; times above are the cluster's\n", r.Speed, seconds(r.TookActual))
}

// drawRefused lists what the target does not take.
func drawRefused(w io.Writer, r *rollout.Rehearsal) {
	if len(r.Objects.Refused) == 0 {
		return
	}
	fmt.Fprintf(w, "\nrefused by %s:\n", r.Target)
	some(w, r.Objects.Refused, func(o rollout.RefusedObject) {
		at := ""
		if o.Where != "" {
			at = " (" + o.Where + ")"
		}
		fmt.Fprintf(w, "  %s%s: %s\n", o.Object, at, o.Why)
		if o.LoadedAs != "" {
			fmt.Fprintf(w, "    it took part as %s: write it so\n", o.LoadedAs)
		}
	})
}

func drawRehearsedPool(w io.Writer, p *rollout.RehearsedPool) {
	fmt.Fprintf(w, "\npool %s, %s, %s to %s: %s\n", p.Pool, p.Strategy, p.From, p.To, p.State)
	fmt.Fprintf(w, "  %d of %d pods moved off %d nodes, %.3f moves per pod\n", p.Moved, p.Pods, p.Nodes, p.MovesPerPod)
	fmt.Fprintf(w, "  %s in all, %s of it moving pods; the plan's forecast is %s, in nine of ten cases at most %s\n",
		seconds(p.Seconds), seconds(p.EvacuationSeconds), seconds(p.Forecast.P50), seconds(p.Forecast.P90))
	if p.State != fleet.StateSucceeded {
		fmt.Fprintf(w, "  %s\n", p.Reason)
	}
	rows := make([][]string, 0, len(p.Steps))
	for _, s := range p.Steps {
		if len(rows) == mostBlocked {
			rows = append(rows, []string{fmt.Sprintf("  … and %d more", len(p.Steps)-mostBlocked)})
			break
		}
		rows = append(rows, []string{"  " + s.Step, s.What, seconds(s.StartSeconds), seconds(s.Seconds)})
	}
	columns(w, "  STEP\tOF\tSTARTS AFTER\tTAKES", rows)
	if len(p.Blocked) > 0 {
		fmt.Fprintln(w, "  in the way:")
		some(w, p.Blocked, func(f fleet.Finding) {
			fmt.Fprintf(w, "    %s (%s): %s\n      %s\n", f.What, f.ID, f.Why, f.Remedy)
		})
	}
}

func drawHomeless(w io.Writer, pods []rollout.HomelessPod) {
	if len(pods) == 0 {
		return
	}
	fmt.Fprintln(w, "\npods that find no place:")
	some(w, pods, func(h rollout.HomelessPod) {
		before := ""
		if h.Before {
			before = ", as in the cluster"
		}
		fmt.Fprintf(w, "  %s%s: %s\n", h.Pod, before, h.Why)
	})
}

func drawWorkloads(w io.Writer, list []rollout.RehearsedWorkload) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintln(w)
	rows := make([][]string, 0, min(len(list), mostBlocked)+1)
	for i := range list {
		if i == mostBlocked {
			rows = append(rows, []string{fmt.Sprintf("and %d more; see -o json", len(list)-i)})
			break
		}
		o := &list[i]
		rows = append(rows, []string{
			o.Workload, o.Move, fmt.Sprint(o.Pods), fmt.Sprint(o.Made), fmt.Sprint(o.Required), fmt.Sprintf("%d of %d", o.Lowest, o.Baseline),
			fmt.Sprint(o.Falls), seconds(o.StartSeconds), seconds(o.Seconds),
		})
	}
	columns(w, "WORKLOAD\tMOVE\tPODS\tMADE\tREQUIRES\tLOWEST READY\tFALLS\tSTARTS AFTER\tTAKES", rows)
}

// drawObjects says what the result does not stand on.
func drawObjects(w io.Writer, r *rollout.Rehearsal) {
	list := func(title string, objects []rollout.LeftObject) {
		if len(objects) == 0 {
			return
		}
		fmt.Fprintf(w, "\n%s:\n", title)
		some(w, objects, func(o rollout.LeftObject) { fmt.Fprintf(w, "  %s: %s\n", o.Object, o.Why) })
	}
	list("did not stay as they were before it began", r.Objects.Restarted)
	list("took no part", r.Objects.NotRehearsed)
	list("not tried", r.Objects.NotTried)
	if len(r.Objects.Notes) > 0 {
		fmt.Fprintln(w, "\ntaken for granted:")
		some(w, r.Objects.Notes, func(note string) { fmt.Fprintf(w, "  %s\n", note) })
	}
	if len(r.Findings) > 0 {
		fmt.Fprintln(w, "\nabout the snapshot:")
		some(w, r.Findings, func(f fleet.Finding) { fmt.Fprintf(w, "  %s (%s)\n", f.What, f.ID) })
	}
	fmt.Fprintf(w, "\nloaded    %s\n", amounts(r.Objects.Loaded))
	if len(r.Objects.Tried) > 0 {
		fmt.Fprintf(w, "tried     %s\n", amounts(r.Objects.Tried))
	}
	if len(r.Objects.LeftOut) > 0 {
		fmt.Fprintf(w, "left out  %s\n", amounts(r.Objects.LeftOut))
	}
}

// amounts writes numbers of objects by kind.
func amounts(by map[string]int) string {
	parts := make([]string, 0, len(by))
	for _, kind := range slices.Sorted(maps.Keys(by)) {
		parts = append(parts, fmt.Sprintf("%d %s", by[kind], kind))
	}
	return strings.Join(parts, ", ")
}

// some draws the first ones of a list, and says how many more there are.
func some[T any](w io.Writer, list []T, draw func(T)) {
	for i := range list {
		if i == mostBlocked {
			fmt.Fprintf(w, "  and %d more; see -o json\n", len(list)-i)
			return
		}
		draw(list[i])
	}
}
