package traffic

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// enough is how many requests to services that stop gracefully must be made from
// Liftlock's first cordon on, and enoughPerSecond how many a second until the
// nodes are replaced.
const (
	enough          = 20_000
	enoughPerSecond = 200
)

// figure is one line of JSON, as bench prints them.
type figure struct {
	Figure   string   `json:"figure"`
	Value    float64  `json:"value"`
	Limit    float64  `json:"limit"`
	Baseline *float64 `json:"baseline"`
	OK       bool     `json:"ok"`
}

// TestTraffic replaces three nodes of Kubernetes 1.34 with three of 1.35 under
// load, once with kubectl drain and once with Liftlock, on the same services.
func TestTraffic(t *testing.T) {
	if unable != "" {
		t.Skip(unable)
	}
	w := newWorld(t)

	// First the tool that loses requests, so that the test is known to notice.
	var drained, lifted result
	moved, during := 0, 0.0 // pods; requests a second while the nodes were replaced
	if !t.Run("kubectl drain", func(t *testing.T) {
		w.schedule(t, oldPool)
		addresses := w.deploy(t, "drained")
		w.schedule(t, oldPool, newPool)
		l := startLoad(t, addresses)
		w.drain(t)
		w.awaitReady(t, "drained")
		drained = l.end()
		table(t, "kubectl drain, node by node", drained)
		w.withdraw(t, "drained")
	}) {
		t.FailNow()
	}
	if !t.Run("liftlock", func(t *testing.T) {
		w.schedule(t, oldPool)
		addresses := w.deploy(t, "lifted")
		w.schedule(t, oldPool, newPool)
		l := startLoad(t, addresses)
		began := time.Now()
		moved = w.evacuate(t, oldPool, newPool)
		// What has ended is still listed until its kubelet has cleaned up.
		if err := poll(t.Context(), time.Minute, "the old nodes are empty", func() error {
			left, err := w.podsOn(t.Context(), oldPool)
			for _, pod := range left {
				if pod.Status.Phase == corev1.PodRunning {
					return stop{fmt.Errorf("pod %s still runs on %s", pod.Name, pod.Spec.NodeName)}
				}
				err = fmt.Errorf("pod %s is still listed on %s", pod.Name, pod.Spec.NodeName)
			}
			return err
		}); err != nil {
			t.Error(err)
		}
		for _, n := range w.nodes {
			if n.pool == oldPool {
				w.remove(t, n)
			}
		}
		replaced := time.Since(began)
		during = float64(l.total()) / replaced.Seconds()
		t.Logf("replaced the nodes in %s, with %d requests meanwhile", replaced.Round(time.Second/10), l.total())
		if err := poll(t.Context(), 3*time.Minute, "enough requests were made", func() error {
			if n := l.total(); n < enough {
				return fmt.Errorf("%d of %d", n, enough)
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
		w.awaitReady(t, "lifted")
		lifted = l.end()
		table(t, "liftlock", lifted)
	}) {
		t.FailNow()
	}

	requests, failures := lifted.counted()
	_, lost := drained.counted()
	figures := []figure{
		atMost("failed requests from liftlock's first cordon on", float64(failures), 0, float64(lost)),
		atMost("longest seconds without an answer from liftlock's first cordon on", lifted.gap().Seconds(), 0, drained.gap().Seconds()),
		atLeast("requests from liftlock's first cordon on", float64(requests), enough),
		atLeast("requests per second while liftlock replaces the nodes", during, enoughPerSecond),
		atLeast("requests that kubectl drain loses of the 15 s starter", float64(drained.of(starter).failures()), 1),
		atLeast("pods that liftlock moved", float64(moved), float64(replicas())),
	}
	for _, f := range figures {
		line, err := json.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println(string(line))
		if !f.OK {
			t.Errorf("%s: %v, the limit is %v", f.Figure, f.Value, f.Limit)
		}
	}
}

func atMost(name string, value, limit, baseline float64) figure {
	return figure{name, value, limit, &baseline, value <= limit}
}

func atLeast(name string, value, limit float64) figure {
	return figure{name, value, limit, nil, value >= limit}
}

func replicas() (sum int) {
	for _, s := range services {
		sum += int(s.replicas)
	}
	return sum
}

// drainPatience is how long kubectl may try a node. It would try for ever to
// evict the pod whose budget allows nothing.
const drainPatience = 30 * time.Second

// drain empties the old nodes as the documentation of Kubernetes says it.
func (w *world) drain(t *testing.T) {
	t.Helper()
	for _, name := range w.pool(oldPool) {
		began := time.Now()
		command := exec.CommandContext(t.Context(), bin.new, "kubectl", "drain", name, "--ignore-daemonsets",
			"--timeout", drainPatience.String(), "--kubeconfig", w.kubeconfig)
		out, err := command.CombinedOutput()
		verdict := "drained"
		if err != nil {
			lines := strings.Split(strings.TrimSpace(string(out)), "\n")
			verdict = "not drained: " + lines[len(lines)-1]
		}
		t.Logf("kubectl drain %s, %s: %s", name, time.Since(began).Round(time.Second), verdict)
	}
}

// table prints what came of a load.
func table(t *testing.T, title string, r result) {
	t.Helper()
	var text strings.Builder
	row := func(name string, columns ...any) {
		fmt.Fprintf(&text, "%-28s", name)
		for _, c := range columns {
			fmt.Fprintf(&text, "%12v", c)
		}
		text.WriteByte('\n')
	}
	header := []any{"requests", "failed"}
	for _, class := range classes {
		header = append(header, class)
	}
	row(title, append(header, "longest gap")...)
	for _, s := range r.services {
		name := s.name
		if !s.counted {
			name += " (not counted)"
		}
		columns := []any{s.requests, s.failures()}
		for _, class := range classes {
			columns = append(columns, s.failed[class])
		}
		row(name, append(columns, s.gap.Round(time.Millisecond))...)
	}
	requests, failures := r.counted()
	row("counted", requests, failures)
	fmt.Printf("\n%s%.0f requests a second to counted services for %s; the client was late by %s at most\n\n",
		text.String(), float64(requests)/r.took.Seconds(), r.took.Round(time.Second), r.late.Round(time.Millisecond))
	for _, s := range r.services {
		if s.example != "" {
			t.Logf("the first failure of %s: %s", s.name, s.example)
		}
	}
}
