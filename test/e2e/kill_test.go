package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// TestKill runs a rollout over two rings and kills Liftlock every 10 to 20
// seconds, whatever it is doing. What comes of it must be what comes of a
// rollout that nobody disturbs.
func TestKill(t *testing.T) {
	t.Parallel()
	killed(t, startAzure(t, "rings"), "testdata/rings.fleet.yaml", "first", "second")
}

// TestKillDemo does the same to the whole fleet of `liftlock demo`.
func TestKillDemo(t *testing.T) {
	if os.Getenv("LIFTLOCK_LONG") == "" {
		t.Skip("takes about ten minutes; set LIFTLOCK_LONG=1, or run: make test-long")
	}
	killed(t, startAzure(t, "demo"), "../../internal/cli/demo/fleet.yaml.tmpl", "sandbox", "dev", "test", "prod")
}

func killed(t *testing.T, a *azure, file string, clusters ...string) {
	t.Helper()
	const version = "1.35.4"
	s := newSite(t)
	path := a.fleet(t, file, nil)
	worlds, before := map[string]*world{}, map[string]*shape{}
	for _, name := range clusters {
		worlds[name] = a.ask(t, name)
		shape := worlds[name].shape(t)
		before[name] = &shape
	}
	begun := a.now(t)

	kills := killToTheEnd(t, s, path)
	t.Logf("killed %d times", kills)
	if kills < 3 {
		t.Errorf("killed only %d times: that proves little", kills)
	}

	for _, name := range clusters {
		w := worlds[name]
		if err := w.runs(t, version); err != nil {
			t.Error(err)
		}
		if err := w.clean(t); err != nil {
			t.Errorf("cluster %s: %v", name, err)
		}
		if pools := w.standIns(t); len(pools) > 0 {
			t.Errorf("cluster %s: pools are left over: %v", name, pools)
		}
		after := w.shape(t)
		after.sameAs(t, before[name])
	}
	a.unharmed(t)
	a.once(t, begun)
	a.eachOnce(t, begun)
	a.snapshots(t)

	r := s.status(t)
	if r.State != fleet.StateSucceeded || r.Violations != 0 {
		t.Errorf("the report says %s (%s), %d violations", r.State, r.Reason, r.Violations)
	}
	proven(t, s)
	journalled(t, s)
}

// killToTheEnd runs a rollout, killing it again and again, until it has ended
// well, and returns how often it was killed.
func killToTheEnd(t *testing.T, s *site, path string) (kills int) {
	t.Helper()
	const least, spread = 10 * time.Second, 10 * time.Second
	dice := rand.New(rand.NewPCG(20261123, 2))
	for deadline := time.Now().Add(15 * time.Minute); time.Now().Before(deadline); kills++ {
		p := s.start(t, "run", path)
		if kills == 0 {
			// Given long before it is asked for, it must outlive all kills.
			within(t, patience, "the approval is taken", func() error {
				if out, err, code := s.run(t, "approve", "--ring", "prod"); code != 0 {
					return fmt.Errorf("exit code %d: %s%s", code, out, err)
				}
				return nil
			})
		}
		select {
		case <-p.done:
			if code, _ := p.ended(); code != 0 {
				t.Fatalf("after %d kills run ended with %d:\n%s\n%s", kills, code, p.stdout(), p.stderr())
			}
			return kills
		case <-time.After(least + time.Duration(dice.Int64N(int64(spread)))):
			p.kill()
		}
	}
	t.Fatalf("the rollout has not ended after %d kills:\n%s", kills, s.must(t, "status"))
	return kills
}

// eachOnce complains unless every control plane was raised once, and every pool
// that was made was made once, and deleted at most once.
func (a *azure) eachOnce(t *testing.T, after int64) {
	t.Helper()
	made, deleted := map[string]int{}, map[string]int{}
	for _, op := range a.state(t).Operations {
		if op.Kind == "AgentPools_Delete" {
			deleted[op.Cluster+"/"+op.Pool]++
		}
	}
	for _, e := range a.started(t, after) {
		// Only the call that makes a pool may bring along what it does not have yet.
		if e.Operation == "AgentPools_CreateOrUpdate" && e.Status == 201 {
			made[e.Cluster+"/"+e.Pool]++
		}
	}
	for pool, times := range made {
		if times > 1 {
			t.Errorf("pool %s was made %d times", pool, times)
		}
	}
	for pool, times := range deleted {
		if times > 1 {
			t.Errorf("pool %s was deleted %d times", pool, times)
		}
	}
}

// snapshots complains about more than one snapshot of a node image in a ring. In
// these worlds each ring has one resource group.
func (a *azure) snapshots(t *testing.T) {
	t.Helper()
	by := map[[2]string]string{}
	for _, s := range a.state(t).Snapshots {
		group, _, _ := strings.Cut(strings.ToLower(s.ID), "/providers/")
		if other, twice := by[[2]string{group, s.Image}]; twice {
			t.Errorf("snapshots %s and %s hold the same image", other, s.ID)
		}
		by[[2]string{group, s.Image}] = s.ID
	}
}

// proven complains about proofs that are missing or written twice.
func proven(t *testing.T, s *site) {
	t.Helper()
	var entries []fleet.LedgerEntry
	s.read(t, &entries, "ledger")
	seen := map[string]bool{}
	kubernetes := map[string]bool{}
	for _, e := range entries {
		key := fmt.Sprint(e.Kind, e.Subject, e.Version, e.Ring)
		if seen[key] {
			t.Errorf("proven twice: %+v", e)
		}
		seen[key] = true
		if e.Kind == fleet.LedgerKubernetes {
			kubernetes[e.Ring] = true
		}
	}
	for _, ring := range s.status(t).Rings {
		if !kubernetes[ring.Name] {
			t.Errorf("the ledger does not say what ring %s has proven: %+v", ring.Name, entries)
		}
	}
}

// journalled complains about anything that the journal says was done twice.
func journalled(t *testing.T, s *site) {
	t.Helper()
	seen := map[string]int64{}
	for _, e := range s.journal(t) {
		switch e.Action {
		case "createPool", "deletePool", "upgradeControlPlane", "upgradePool", "prove", "endPool", "endCluster", "end":
		default:
			continue
		}
		key := fmt.Sprint(e.Action, " ", e.Object, " of ", e.Ring, "/", e.Cluster, "/", e.Pool)
		if first, twice := seen[key]; twice {
			t.Errorf("journalled twice (%d and %d): %s", first, e.Seq, key)
		}
		seen[key] = e.Seq
	}
}
