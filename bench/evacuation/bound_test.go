package evacuation

import (
	"testing"
	"time"
)

func TestLeastTimeOfAWorkload(t *testing.T) {
	const start, stop = 10 * time.Second, 3 * time.Second
	deploy := func(replicas int, change ...func(*app)) app {
		a := app{kind: deployment, replicas: replicas, starts: start, stops: stop}
		for _, f := range change {
			f(&a)
		}
		return a
	}
	with := func(b *budget) func(*app) { return func(a *app) { a.budget = b } }
	strategy := func(surge, unavailable string) func(*app) {
		return func(a *app) { a.maxSurge, a.maxUnavailable = amount(surge), amount(unavailable) }
	}
	for name, test := range map[string]struct {
		app  app
		own  time.Duration
		full time.Duration // when surge may reach 100 %
	}{
		"single replica: the new one, then the old one stops":        {deploy(1), start + stop, start + stop},
		"two: none may be missing, one more at a time":               {deploy(2), 2*start + stop, start + stop},
		"twenty by default: five more and five fewer":                {deploy(20), 2*start + stop, start + stop},
		"twenty-one: six more, five fewer":                           {deploy(21), 2*start + stop, start + stop},
		"a budget stricter than the strategy":                        {deploy(20, with(atLeast("95%"))), 4*start + stop, start + stop},
		"a budget of none":                                           {deploy(3, with(atLeast("3"))), 3*start + stop, start + stop},
		"no surge of its own is none with any policy":                {deploy(4, strategy("0", "1")), 4 * start, 4 * start},
		"no surge of its own and a budget of none: one all the same": {deploy(2, strategy("0", "1"), with(atMost("0"))), 2*start + stop, 2*start + stop},
		"Recreate stops while it starts":                             {deploy(1, func(a *app) { a.recreate = true }), start, start},
		"stopping may take longer than starting":                     {deploy(1, func(a *app) { a.recreate = true; a.stops = 15 * time.Second }), 15 * time.Second, 15 * time.Second},
		"a StatefulSet goes one by one": {
			app{kind: statefulSet, replicas: 3, starts: start, stops: stop}, 3 * (start + stop), 3 * (start + stop),
		},
		"and its disks with it": {
			app{kind: statefulSet, replicas: 3, starts: start, stops: stop, volume: true},
			3 * (start + stop + volumeDetach + volumeAttach), 3 * (start + stop + volumeDetach + volumeAttach),
		},
		"a Job is not moved": {app{kind: job, replicas: 1, starts: start, runs: time.Hour}, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			if got := (rules{}).whole(&test.app); got != test.own {
				t.Errorf("own surge: %s, want %s", got, test.own)
			}
			if got := (rules{surge: full}).whole(&test.app); got != test.full {
				t.Errorf("surge up to 100 %%: %s, want %s", got, test.full)
			}
		})
	}
}

func TestBoundOfAStrategy(t *testing.T) {
	apps := []app{
		{kind: deployment, namespace: "n", name: "one", replicas: 1, starts: 20 * time.Second, stops: 5 * time.Second},
		{kind: statefulSet, namespace: "n", name: "db", replicas: 3, starts: 8 * time.Second, stops: 2 * time.Second},
		{kind: job, namespace: "n", name: "import", replicas: 1, starts: 10 * time.Second, runs: 50 * time.Second},
	}
	full := rules{surge: full}
	if got, want := full.blueGreen(apps), (bound{capacity + 30*time.Second, "StatefulSet/n/db"}); got != want {
		t.Errorf("blueGreen: %v, want %v", got, want)
	}
	if got, want := full.buffer(apps), (bound{2*capacity + 60*time.Second, "StatefulSet/n/db"}); got != want {
		t.Errorf("buffer: %v, want %v", got, want)
	}
	apps[2].runs = 10 * time.Minute
	if got, want := full.blueGreen(apps), (bound{10*time.Minute + 10*time.Second, "Job/n/import"}); got != want {
		t.Errorf("blueGreen that waits for a Job: %v, want %v", got, want)
	}
}

// TestDrawIsTheSameForAll: every strategy has the same workloads, within what
// the benchmark promises.
func TestDrawIsTheSameForAll(t *testing.T) {
	size := Size{Nodes: 100, Teams: 20, Seed: 34}
	apps := draw(size)
	pods := 0
	for i, again := range draw(size) {
		a := apps[i]
		pods += a.replicas
		if a.starts != again.starts || a.stops != again.stops || a.runs != again.runs {
			t.Errorf("%s: drawn twice, it differs", &a)
		}
		if a.starts < startLeast || a.starts > startMost || a.stops < stopLeast || a.stops > stopMost {
			t.Errorf("%s starts in %s and stops in %s", &a, a.starts, a.stops)
		}
	}
	if pods != size.Pods() || pods != 2000 {
		t.Errorf("%d pods, want %d", pods, size.Pods())
	}
	if m := medianStart(apps); m < 9*time.Second || m > 11*time.Second {
		t.Errorf("median start-up over pods is %s", m)
	}
	t.Log((rules{surge: full}).blueGreen(apps), rules{}.blueGreen(apps), medianStart(apps))
}
