package e2e

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/sim/fault"
)

// TestFaults takes one rollout through a bad day. Every trouble has to show as a
// state with its reason, and has to pass without help once its cause is gone.
func TestFaults(t *testing.T) {
	t.Parallel()
	a := startAzure(t, "faults")
	s := newSite(t)
	d := &badDay{azure: a, site: s, path: a.fleet(t, "testdata/faults.fleet.yaml", nil), world: a.ask(t, "main"), begun: a.now(t)}
	d.mount(t)
	before := d.world.shape(t)
	steps := []struct {
		name string
		run  func(t *testing.T)
	}{
		{"credentials are refused at the start", d.refusedAtStart},
		{"the version is withdrawn between plan and act", d.withdrawn},
		{"credentials are refused for a while", d.refusedInBetween},
		{"the quota is used up", d.quota},
		{"the disk is full", d.full},
		{"a pool ends Failed", d.failedPool},
		{"the API server is down in the middle of an evacuation", d.apiServerDown},
		{"Azure cannot be reached, then throttles", d.unreachable},
		{"a cluster is deleted in the middle", d.deleted},
		{"the rest of the fleet is done", d.rest},
	}
	for _, step := range steps {
		if !t.Run(step.name, step.run) {
			out, stderr, _ := s.run(t, "status")
			t.Fatalf("the rollout stands here:\n%s%s", out, stderr)
		}
	}
	if err := d.world.runs(t, "1.35.4"); err != nil {
		t.Error(err)
	}
	if err := d.world.clean(t); err != nil {
		t.Error(err)
	}
	after := d.world.shape(t)
	after.sameAs(t, &before)
	a.unharmed(t)
	a.eachOnce(t, d.begun) // what failed was rightly asked for again
	for line := range strings.SplitSeq(d.runner.err.String()+d.runner.out.String(), "\n") {
		if strings.Contains(line, "Bearer ") || strings.Contains(line, "eyJ") {
			t.Errorf("a token was written: %s", line)
		}
	}
}

type badDay struct {
	*azure
	site   *site
	path   string
	world  *world
	begun  int64
	runner *process
	disk   bool // the state folder is on a small disk of its own
}

// mount puts the state folder on a small disk of its own, where that is allowed.
func (d *badDay) mount(t *testing.T) {
	t.Helper()
	if err := os.MkdirAll(d.site.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", d.site.dir, "tmpfs", 0, "size=96m,mode=0700"); err != nil {
		return
	}
	d.disk = true
	t.Cleanup(func() {
		if err := syscall.Unmount(d.site.dir, 0); err != nil {
			t.Errorf("unmount the small disk: %v", err)
		}
	})
}

// stands waits until a cluster is in a state for a reason.
func (d *badDay) stands(t *testing.T, cluster string, state fleet.State, why string) {
	t.Helper()
	seen := map[string]bool{}
	within(t, patience, fmt.Sprintf("cluster %s is %s because of %q", cluster, state, why), func() error {
		if code, ended := d.runner.ended(); ended {
			t.Fatalf("run ended with %d:\n%s", code, d.runner.stderr())
		}
		r := d.site.status(t)
		c := clusterOf(t, &r, cluster)
		if (c.State == state || state == "") && strings.Contains(c.Reason, why) {
			return nil
		}
		seen[fmt.Sprintf("%s: %s", c.State, c.Reason)] = true
		for _, p := range c.Pools {
			if (p.State == state || state == "") && strings.Contains(p.Reason, why) {
				return nil
			}
			seen[fmt.Sprintf("pool %s %s: %s", p.Name, p.State, p.Reason)] = true
		}
		return fmt.Errorf("seen so far: %q", slices.Sorted(maps.Keys(seen)))
	})
}

func (d *badDay) refusedAtStart(t *testing.T) {
	id := d.strike(t, fault.Fault{Effect: fault.Unauthorized, Times: -1})
	out, stderr, code := d.site.run(t, "run", d.path)
	if code != 6 || !strings.Contains(stderr, "Unauthorized") {
		t.Errorf("exit code %d, want 6 and a word about credentials:\n%s%s", code, out, stderr)
	}
	if _, _, code := d.site.run(t, "status"); code != 7 {
		t.Errorf("a rollout has begun: status ends with %d, want 7", code)
	}
	d.heal(t, id)
}

func (d *badDay) withdrawn(t *testing.T) {
	// The first write sets the channels aside; the version goes with it.
	id := d.strike(t, fault.Fault{
		Effect: fault.VersionWithdrawn, Match: fault.Match{Operation: "ManagedClusters_CreateOrUpdate"}, Region: "westeurope", Version: "1.35.4",
	})
	d.runner = d.site.start(t, "run", d.path)
	within(t, patience, "the version is withdrawn", func() error {
		if code, ended := d.runner.ended(); ended {
			t.Fatalf("run ended with %d:\n%s", code, d.runner.stderr())
		}
		if d.struck(t, id) == 0 {
			return errors.New("nothing was written yet")
		}
		return nil
	})
	d.stands(t, "main", fleet.StateBlocked, "1.35.4")
	// Nobody takes the next best version instead.
	if got := d.cluster(t, "main").Version; got != "1.34.4" {
		t.Errorf("the control plane is at %s", got)
	}
	d.heal(t, id)
}

func (d *badDay) refusedInBetween(t *testing.T) {
	id := d.strike(t, fault.Fault{Effect: fault.Unauthorized, Match: fault.Match{Cluster: "main"}, Times: -1})
	d.strike(t, fault.Fault{Effect: fault.VersionOffered, Region: "westeurope", Version: "1.35.4"})
	d.stands(t, "main", fleet.StateBlocked, "Unauthorized")
	// What comes next fails in its turn.
	d.strike(t, fault.Fault{Effect: fault.Quota, Region: "westeurope", Family: "standardDDSv5Family", Limit: 9})
	d.heal(t, id)
}

func (d *badDay) quota(t *testing.T) {
	d.stands(t, "main", fleet.StateBlocked, "Quota")
	if names, err := d.world.cordoned(t); err != nil || len(names) > 0 {
		t.Errorf("cordoned without a place for their pods: %v, %v", names, err)
	}
}

func (d *badDay) full(t *testing.T) {
	if !d.disk {
		t.Skip("mounting a small disk is not allowed here")
	}
	ballast := filepath.Join(d.site.dir, "ballast")
	fill(t, ballast)
	d.broken(t)
	d.strike(t, fault.Fault{Effect: fault.Quota, Region: "westeurope", Family: "standardDDSv5Family", Limit: 64})
	within(t, patience, "run says that the disk is full", func() error {
		if code, ended := d.runner.ended(); ended {
			t.Fatalf("run ended with %d:\n%s", code, d.runner.stderr())
		}
		if said := d.runner.err.String(); !strings.Contains(said, "no space left") && !strings.Contains(said, "disk is full") {
			return fmt.Errorf("it says %q", tail(said, 5))
		}
		return nil
	})
	if out := d.site.must(t, "status"); !strings.Contains(out, "main") {
		t.Errorf("status on a full disk says %q", out)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
}

// fill writes a file until nothing more fits beside it.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	for size := 1 << 20; size > 0; {
		if _, err := f.Write(make([]byte, size)); errors.Is(err, syscall.ENOSPC) {
			size /= 2
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// broken lets the next pool that is made end Failed, once. It strikes what was
// accepted, so it waits until there is quota again.
func (d *badDay) broken(t *testing.T) {
	t.Helper()
	d.strike(t, fault.Fault{
		ID: "broken", Effect: fault.OperationFails, Match: fault.Match{Operation: "AgentPools_CreateOrUpdate", Cluster: "main"},
		Code: "InternalOperationError", Message: "Something went wrong over there.", At: "middle",
	})
}

func (d *badDay) failedPool(t *testing.T) {
	if !d.disk {
		d.broken(t)
		d.strike(t, fault.Fault{Effect: fault.Quota, Region: "westeurope", Family: "standardDDSv5Family", Limit: 64})
	}
	within(t, patience, "the pool ends Failed", func() error {
		if d.struck(t, "broken") == 0 {
			return errors.New("no pool was made")
		}
		return nil
	})
	within(t, patience, "pods are on the move", func() error {
		if err := d.world.moving(t); err != nil {
			r := d.site.status(t)
			return fmt.Errorf("%w; %+v", err, clusterOf(t, &r, "main").Pools)
		}
		return nil
	})
}

func (d *badDay) apiServerDown(t *testing.T) {
	d.strike(t, fault.Fault{Effect: fault.APIServerDown, Match: fault.Match{Cluster: "main"}, For: fault.Duration(30 * time.Second)})
	d.stands(t, "main", fleet.StateWaiting, "main")
	within(t, patience, "the API server is back", func() error {
		_, err := d.world.kube.Discovery().ServerVersion()
		return err
	})
}

func (d *badDay) unreachable(t *testing.T) {
	id := d.strike(t, fault.Fault{Effect: fault.Unreachable, For: fault.Duration(20 * time.Second)})
	d.stands(t, "main", "", "Unavailable")
	throttled := d.strike(t, fault.Fault{Effect: fault.Throttle, After: fault.Duration(20 * time.Second), Times: 6, RetryAfter: 1})
	within(t, patience, "calls are throttled", func() error {
		if n := d.struck(t, throttled); n < 6 {
			return fmt.Errorf("%d of 6 so far", n)
		}
		return nil
	})
	if d.struck(t, id) == 0 {
		t.Error("nobody has asked Azure for anything while it could not be reached")
	}
}

func (d *badDay) deleted(t *testing.T) {
	within(t, patience, "a pool of cluster gone is made", func() error {
		if code, ended := d.runner.ended(); ended {
			t.Fatalf("run ended with %d:\n%s", code, d.runner.stderr())
		}
		if n := len(d.cluster(t, "gone").Pools); n < 2 {
			return fmt.Errorf("it has %d pools", n)
		}
		return nil
	})
	d.strike(t, fault.Fault{Effect: fault.ClusterDeleted, Match: fault.Match{Cluster: "gone"}})
	if code := d.runner.wait(t, patience); code != 1 {
		t.Errorf("run ended with %d, want 1:\n%s", code, d.runner.stderr())
	}
	r := d.site.status(t)
	for name, want := range map[string]struct {
		state fleet.State
		why   string
	}{
		"main":   {fleet.StateSucceeded, "1.35.4"},
		"asleep": {fleet.StateSetAside, "stopped"},
		"gone":   {fleet.StateFailed, "gone"},
	} {
		if c := clusterOf(t, &r, name); c.State != want.state || !strings.Contains(c.Reason, want.why) {
			t.Errorf("cluster %s is %s (%s), want %s because of %q", name, c.State, c.Reason, want.state, want.why)
		}
	}
	if r.State != fleet.StateFailed || !strings.Contains(r.Reason, "prod") {
		t.Errorf("the rollout is %s (%s), want Failed because of ring prod", r.State, r.Reason)
	}
	if len(r.Ledger) == 0 {
		t.Error("ring sandbox has proven nothing")
	}
}

func (d *badDay) rest(t *testing.T) {
	begun := d.now(t)
	if out := d.site.must(t, "run", d.path); !strings.Contains(out, "nothing to do") {
		t.Errorf("run on what is left says %q", out)
	}
	if writes := d.writes(t, begun); len(writes) > 0 {
		t.Errorf("it has written: %+v", writes)
	}
}
