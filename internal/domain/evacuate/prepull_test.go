package evacuate

import (
	"slices"
	"strings"
	"testing"
	"time"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// heavy fills a cluster with a large image that takes four minutes to pull, a
// small one, and one behind a secret.
func heavy(k *toyKube) {
	k.add(fleet.Workload{Kind: fleet.Deployment, Name: "windows", Replicas: 2}, toyTemplate{image: "registry.example/windows:1"})
	k.add(fleet.Workload{Kind: fleet.Deployment, Name: "small", Replicas: 2}, toyTemplate{image: "nginx"})
	k.add(fleet.Workload{Kind: fleet.Deployment, Name: "private", Replicas: 1}, toyTemplate{image: "private.example/model:3", secret: "registry"})
	k.image("registry.example/windows:1", 6, 240)
	k.image("nginx", 0.1, 3)
	k.image("private.example/model:3", 2, 90)
}

func pulling(t *testing.T, images fleet.PrePullImages) *run {
	t.Helper()
	r := evacuation(t, 31, heavy)
	r.in.Policy.PrePull = fleet.PrePull{Images: images, Threshold: 1 << 30, Timeout: 30 * time.Minute}
	return r
}

// TestPrePullStory tells how big images are pulled to the new nodes before the
// first cordon, and how long pods take to be Ready with and without.
func TestPrePullStory(t *testing.T) {
	var story strings.Builder
	r := pulling(t, fleet.PrePullBig)
	r.story = &story
	r.before = func(_ int, r *run) {
		for _, n := range r.k.nodes {
			for _, image := range []string{"registry.example/windows:1", "private.example/model:3"} {
				if old := r.k.node("old-0"); old.Unschedulable && strings.HasPrefix(n.Name, "green") && !hasImage(n, image) {
					t.Fatalf("the old nodes are cordoned, and node %s has no %s", n.Name, image)
				}
			}
		}
		for _, p := range r.k.pods {
			if len(p.PullSecrets) > 0 && Puller(&p.Pod) && p.Namespace != "shop" {
				t.Errorf("pod %s has no way to the secret of namespace shop", p.Key())
			}
		}
	}
	r.drive(StatusDone)
	r.checkEnd(0)
	if slices.ContainsFunc(r.k.pods, func(p *toyPod) bool { return Puller(&p.Pod) }) {
		t.Error("a pod that pulls is left")
	}
	with := r.k.slowest
	golden(t, "prepull", story.String())

	r = pulling(t, fleet.PrePullOff)
	r.drive(StatusDone)
	t.Logf("slowest pod from made to Ready: %s with images pulled beforehand, %s without", with, r.k.slowest)
	if with > 20*time.Second || r.k.slowest < 4*time.Minute {
		t.Errorf("slowest pod: %s with images pulled beforehand, %s without", with, r.k.slowest)
	}
}

// TestPrePullAll pulls small images as well.
func TestPrePullAll(t *testing.T) {
	r := pulling(t, fleet.PrePullAll)
	most := Pulled{}
	r.before = func(_ int, r *run) {
		if p := Next(withSnapshot(r.in, r.k.snapshot())).Pulled; p != nil && p.Images >= most.Images {
			most = *p
		}
	}
	r.drive(StatusDone)
	if most.Images != 9 || most.ImagesDone != 9 || most.BytesDone < 24<<30 {
		t.Errorf("three images on three nodes, and the progress is %+v", most)
	}
}

// TestPrePullGivesUp: what cannot be pulled, or takes too long, or may not be
// asked for, is said, and pods move all the same.
func TestPrePullGivesUp(t *testing.T) {
	tests := map[string]func(*run){
		"not found":           func(r *run) { r.k.pullTakes["private.example/model:3"] = -1; r.k.workloads[2].template.image = "" },
		"not there after 2m":  func(r *run) { r.in.Policy.PrePull.Timeout = 2 * time.Minute },
		"pods is forbidden":   func(r *run) { r.k.refuse = refuseKind(PrePull, "pods is forbidden") },
		"exceeds quota small": func(r *run) { r.k.refuse = refuseKind(PrePull, "exceeds quota small") },
	}
	for want, change := range tests {
		t.Run(want, func(t *testing.T) {
			r := pulling(t, fleet.PrePullBig)
			change(r)
			said := false
			r.before = func(_ int, r *run) {
				said = said || slices.ContainsFunc(Next(withSnapshot(r.in, r.k.snapshot())).Findings, func(f fleet.Finding) bool {
					return f.ID == "image-not-pulled" && strings.Contains(f.Why, want)
				})
			}
			r.drive(StatusDone)
			if !said {
				t.Errorf("nothing says that it is %s", want)
			}
			actions, _ := Undo(r.k.snapshot(), nil, "")
			for _, a := range actions {
				if a.Kind == EndPull {
					t.Errorf("left behind: %+v", a)
				}
			}
		})
	}
}

func refuseKind(kind ActionKind, why string) func(Action) string {
	return func(a Action) string {
		if a.Kind == kind {
			return why
		}
		return ""
	}
}

// TestPrePullForgets: a lost memory costs a look at each image again, no pod
// that pulls is left, and no node is cordoned too early.
func TestPrePullForgets(t *testing.T) {
	r := pulling(t, fleet.PrePullBig)
	r.before = func(pass int, r *run) {
		if pass%40 == 20 {
			r.in.Memory, r.in.Outcomes = Memory{}, nil
		}
	}
	r.drive(StatusDone)
	if slices.ContainsFunc(r.k.pods, func(p *toyPod) bool { return Puller(&p.Pod) }) {
		t.Error("a pod that pulls is left")
	}
}

// TestPrePullPlatform: images go to nodes of their own platform that the pods
// may run on, and are known by every name that nodes give them.
func TestPrePullPlatform(t *testing.T) {
	r := pulling(t, fleet.PrePullAll)
	r.k.node("green-1").Labels["kubernetes.io/os"] = "windows"
	r.k.node("green-2").Taints = []fleet.Taint{{Key: "gpu", Effect: "NoSchedule"}}
	r.k.node("green-0").Images = map[string]int64{"docker.io/library/nginx:latest": 1}
	pass := Next(withSnapshot(r.in, r.k.snapshot()))
	asked := map[string][]string{}
	for _, a := range pass.Actions {
		if a.Kind == PrePull {
			asked[a.Node] = append(asked[a.Node], a.Images...)
		}
	}
	if len(asked) != 1 || len(asked["green-0"]) != 2 || slices.Contains(asked["green-0"], "nginx") {
		t.Errorf("asked for %v", asked)
	}
}
