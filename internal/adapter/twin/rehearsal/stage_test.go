package rehearsal_test

import (
	"bytes"
	"context"
	"errors"
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

// TestRehearsalThatGoesThrough moves everything to new nodes of 1.35: a workload
// whose budget allows nothing, disks, a Job that runs, a pod of an operator that is
// not there.
func TestRehearsalThatGoesThrough(t *testing.T) {
	s, _ := shop()
	r := rehearse(t, s, "apps", policy(), 20)
	if !r.Went || r.Falls != 0 {
		t.Errorf("falls %d; verdict: %s", r.Falls, r.Verdict)
	}
	if len(r.Objects.Restarted) > 0 {
		t.Errorf("controllers did not find what they had left: %+v", r.Objects.Restarted)
	}
	if len(r.Objects.Refused)+len(r.Objects.NotRehearsed)+len(r.Homeless) > 0 {
		t.Errorf("refused: %+v, not rehearsed: %+v, homeless: %+v", r.Objects.Refused, r.Objects.NotRehearsed, r.Homeless)
	}
	if n := r.Objects.Loaded["Pod"]; n != 11 {
		t.Errorf("%d pods were loaded, of 11", n)
	}
	p := r.Pools[0]
	if p.State != fleet.StateSucceeded || p.Moved != 7 || p.Pods != 7 || p.MovesPerPod > 1 || p.From.String() != "1.34.4" || !p.To.SameMinor(fleet.MustParseVersion("1.35.0")) {
		t.Errorf("pool: %+v", p)
	}
	var steps []string
	for _, step := range p.Steps {
		steps = append(steps, step.Step+" "+step.What)
	}
	if got := strings.Join(steps, ", "); got != "createPool appsb, evacuate apps, deletePool apps" {
		t.Errorf("steps: %s", got)
	}
	// A node takes a minute of the cluster, and its DaemonSet's pod some seconds.
	if p.Seconds < 65 {
		t.Errorf("it took %.0f s of the cluster, less than a new node", p.Seconds)
	}
	by := workloads(&r)
	for key, want := range map[string]rollout.RehearsedWorkload{
		"Deployment/shop/web":            {Move: "roll", Pods: 3, Made: 3, Required: 3, Baseline: 3, Lowest: 3},
		"StatefulSet/shop/db":            {Move: "evict", Pods: 2, Made: 2, Required: 1, Baseline: 2, Lowest: 1},
		"Other/shop/KafkaNodePool:kafka": {Move: "evict", Pods: 1, Made: 1, Baseline: 1},
		"Job/shop/import":                {Pods: 1, Baseline: 1, Lowest: 1},
		"DaemonSet/kube-system/agent":    {Pods: 4, Made: 3, Baseline: 4, Lowest: 4},
	} {
		got, ok := by[key]
		got.StartSeconds, got.Seconds, want.Workload = 0, 0, key
		if !ok || got != want {
			t.Errorf("%s: got %+v, want %+v", key, got, want)
		}
	}
}

func workloads(r *rollout.Rehearsal) map[string]rollout.RehearsedWorkload {
	by := map[string]rollout.RehearsedWorkload{}
	for _, w := range r.Workloads {
		by[w.Workload] = w
	}
	return by
}

// TestRehearsalThatDoesNot names all that is in the way.
func TestRehearsalThatDoesNot(t *testing.T) {
	s, nodes := shop()
	s.deployment("shop", "pinned", 1, 5*time.Second, nodes[2:], "100m", m{"nodeSelector": m{"kubernetes.io/hostname": nodes[2]}})
	s.pod("shop", "lonely", nodes[0], 5*time.Second, template(m{"app": "lonely"}, "100m"), nil, nil)
	s.pod("shop", "stray", nodes[0], 5*time.Second, template(m{"app": "stray"}, "100m"), nil, ref("apps/v1", "ReplicaSet", "shop", "gone"))
	s.add("flowcontrol.apiserver.k8s.io/v1beta3", "FlowSchema", "", "shop", m{"spec": m{"matchingPrecedence": 900}})
	s.add("autoscaling/v2beta2", "HorizontalPodAutoscaler", "shop", "web", m{"spec": m{
		"minReplicas": 3, "maxReplicas": 9, "scaleTargetRef": m{"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
	}})
	s.add("networking.k8s.io/v1", "Ingress", "shop", "bad", m{"spec": m{"rules": []any{m{"host": "NOT a host"}}}})
	s.add("networking.k8s.io/v1", "NetworkPolicy", "shop", "good", m{"spec": m{"podSelector": m{}}})
	s.add("example.com/v1", "Widget", "shop", "w", nil)
	s.add("v1", "Secret", "shop", "s", m{"data": m{"password": "aHVudGVyMg=="}})
	r := rehearse(t, s, "apps", policy(), 20)
	if r.Went {
		t.Error("it went through")
	}
	for _, want := range []string{"3 objects are refused by 1.35", "pool apps stands still", "1 pod finds no place"} {
		if !strings.Contains(r.Verdict, want) {
			t.Errorf("verdict without %q: %s", want, r.Verdict)
		}
	}
	refused := map[string]string{}
	for _, o := range r.Objects.Refused {
		refused[o.Object+" "+o.LoadedAs] = o.Why
		if !strings.HasPrefix(o.Where, "items[") {
			t.Errorf("where is %s: %q", o.Object, o.Where)
		}
	}
	for object, why := range map[string]string{
		"FlowSchema/shop ": "could not find the requested resource",
		"HorizontalPodAutoscaler/shop/web autoscaling/v2": "could not find the requested resource",
		"Ingress/shop/bad ": "spec.rules[0].host",
	} {
		if !strings.Contains(refused[object], why) {
			t.Errorf("%s is refused with %q, want %q; all: %v", object, refused[object], why, refused)
		}
	}
	if got := r.Objects.NotTried; len(got) != 1 || got[0].Object != "Widget/shop/w" {
		t.Errorf("not tried: %+v", got)
	}
	if got := r.Objects.NotRehearsed; len(got) != 1 || got[0].Object != "Pod/shop/stray" {
		t.Errorf("not rehearsed: %+v", got)
	}
	if r.Objects.Tried["networking.k8s.io/NetworkPolicy"] != 1 || r.Objects.LeftOut["Secret"] != 1 {
		t.Errorf("tried %v, left out %v", r.Objects.Tried, r.Objects.LeftOut)
	}
	var blocked []string
	for _, f := range r.Pools[0].Blocked {
		blocked = append(blocked, f.ID+" "+f.Object)
	}
	if got := strings.Join(blocked, ", "); got != "pod-no-node Deployment/shop/pinned, pod-bare Pod/shop/lonely" {
		t.Errorf("blocked: %s", got)
	}
	if got := r.Homeless; len(got) != 1 || got[0].Pod != "shop/pinned-6f7d9c5b48-00000" || !strings.Contains(got[0].Why, "nodes are available") {
		t.Errorf("homeless: %+v", got)
	}
	if web := workloads(&r)["Deployment/shop/web"]; web.Made != 3 || web.Falls != 0 {
		t.Errorf("what can move does: %+v", web)
	}
	if r.Falls > 0 || len(r.Objects.Restarted) > 0 {
		t.Errorf("falls %d, restarted %+v", r.Falls, r.Objects.Restarted)
	}
}
