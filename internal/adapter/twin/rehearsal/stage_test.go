package rehearsal_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"liftlock.dev/liftlock/internal/adapter/kube"
	"liftlock.dev/liftlock/internal/adapter/sqlite"
	"liftlock.dev/liftlock/internal/adapter/twin"
	"liftlock.dev/liftlock/internal/adapter/twin/rehearsal"
	"liftlock.dev/liftlock/internal/domain/evacuate"
	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/rollout"
)

// binaries finds bin/kube by walking up to the repository's root.
func binaries(t *testing.T) string {
	t.Helper()
	folder, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(folder, "hack", "kube")); err == nil {
			break
		}
		parent := filepath.Dir(folder)
		if parent == folder {
			t.Fatal("no hack/kube in any folder above")
		}
		folder = parent
	}
	folder = filepath.Join(folder, "bin", "kube")
	if _, err := os.Stat(filepath.Join(folder, "1.35", "kube")); err != nil {
		t.Fatalf("%v: run make kube", err)
	}
	return folder
}

// rehearse puts a snapshot on a stage of 1.35 and rehearses the upgrade of a pool.
func rehearse(t *testing.T, s *snapshot, pool string, policy fleet.NodePolicy, speed float64) rollout.Rehearsal {
	t.Helper()
	file := s.file(t)
	snap, _, err := kube.ReadFile(t.Context(), bytes.NewReader(file), "cluster.json", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	objects, err := rehearsal.Read(bytes.NewReader(file), "cluster.json")
	if err != nil {
		t.Fatal(err)
	}
	built, err := twin.Built(binaries(t), "1.35")
	if err != nil {
		t.Fatal(err)
	}
	target := fleet.MustParseVersion(built)
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	starts, other := evacuate.SeenStarts(snap, pool, 30*time.Second)
	state := filepath.Join(t.TempDir(), "twin")
	began := time.Now()
	stage, err := rehearsal.Open(t.Context(), rehearsal.Options{
		BinDir: binaries(t), StateDir: state, Cluster: rollout.ClusterOf(&snap, "shop", target), Objects: objects, TakenAt: snap.TakenAt,
		Times: rehearsal.Times{Start: starts, Other: other, End: 10 * time.Second, Node: time.Minute, Job: 2 * time.Minute}, Speed: speed, Log: log,
		Connect: func(k func(context.Context, fleet.Cluster) ([]byte, error)) rollout.Connector {
			return kube.NewConnector(kube.Options{Kubeconfig: k, Logger: log})
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := stage.Close(context.Background()); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(state); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("state folder left: %v", err)
		}
	}()
	t.Logf("staged after %s", time.Since(began).Round(time.Millisecond))
	store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), sqlite.FileName))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	last := ""
	result, err := rollout.Rehearse(t.Context(), rollout.RehearsalRoom{
		Stage: stage, Store: store, Ledger: store, Journal: store, Clock: time.Now, Log: log,
	}, rollout.RehearsalInput{
		Cluster: stage.Cluster(), Snapshot: snap, Pools: []string{pool}, Target: target, Spec: fleet.Spec{Nodes: policy}, Speed: speed,
		Progress: func(what string) {
			if what != last {
				t.Logf("%6.1fs %s", time.Since(began).Seconds(), what)
			}
			last = what
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// shop is a small cluster with one of everything that moves.
func shop() (s *snapshot, nodes []string) {
	s = &snapshot{}
	s.add("v1", "Namespace", "", "shop", m{"metadata": m{"labels": m{"team": "shop"}}})
	for n := range 3 {
		nodes = append(nodes, s.node("apps", n))
	}
	all := append(slices.Clone(nodes), s.node("system", 3))
	s.deployment("shop", "web", 3, 6*time.Second, nodes, "250m", nil)
	s.budget("shop", "web", m{"maxUnavailable": 0})
	s.statefulSet("shop", "db", 2, 8*time.Second, nodes)
	s.budget("shop", "db", m{"minAvailable": 1})
	s.daemonSet("kube-system", "agent", all)
	s.job("shop", "import", nodes[0])
	s.pod("shop", "kafka-0", nodes[1], 5*time.Second, template(m{"app": "kafka"}, "100m"), nil, ref("kafka.example.com/v1", "KafkaNodePool", "shop", "kafka"))
	return s, nodes
}

func policy() fleet.NodePolicy {
	p := fleet.UsualNodePolicy()
	p.Evacuation.LoadBalancerSettle = 0
	return p
}

// TestRehearsalThatGoesThrough moves everything to new nodes of 1.35.
func TestRehearsalThatGoesThrough(t *testing.T) {
	s, _ := shop()
	r := rehearse(t, s, "apps", policy(), 10)
	if !r.Went {
		t.Errorf("verdict: %s", r.Verdict)
	}
	if len(r.Objects.Restarted) > 0 {
		t.Errorf("controllers did not find what they had left: %+v", r.Objects.Restarted)
	}
	if len(r.Objects.Refused)+len(r.Objects.NotRehearsed) > 0 {
		t.Errorf("refused: %+v, not rehearsed: %+v", r.Objects.Refused, r.Objects.NotRehearsed)
	}
	for _, w := range r.Workloads {
		t.Logf("%+v", w)
	}
	t.Logf("%+v", r.Pools)
}

// TestRehearsalThatDoesNot names all that is in the way.
func TestRehearsalThatDoesNot(t *testing.T) {
	s, nodes := shop()
	s.deployment("shop", "pinned", 1, 5*time.Second, nodes[2:], "100m", m{"nodeSelector": m{"kubernetes.io/hostname": nodes[2]}})
	s.pod("shop", "lonely", nodes[0], 5*time.Second, template(m{"app": "lonely"}, "100m"), nil, nil)
	s.add("flowcontrol.apiserver.k8s.io/v1beta3", "FlowSchema", "", "shop", m{"spec": m{"matchingPrecedence": 900}})
	s.add("autoscaling/v2beta2", "HorizontalPodAutoscaler", "shop", "web", m{"spec": m{
		"minReplicas": 3, "maxReplicas": 9, "scaleTargetRef": m{"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
	}})
	s.add("example.com/v1", "Widget", "shop", "w", nil)
	s.add("v1", "Secret", "shop", "s", m{"data": m{"password": "aHVudGVyMg=="}})
	r := rehearse(t, s, "apps", policy(), 10)
	if r.Went {
		t.Error("it went through")
	}
	t.Log(r.Verdict)
	t.Logf("%+v", r.Objects)
	for _, f := range r.Pools[0].Blocked {
		t.Logf("blocked: %+v", f)
	}
	if !strings.Contains(fmt.Sprint(r.Objects.Refused), "FlowSchema") {
		t.Error("the FlowSchema is not refused")
	}
	for _, w := range r.Workloads {
		t.Logf("%+v", w)
	}
	t.Logf("%+v", r.Homeless)
	t.Logf("%+v", r.Refusals)
}
