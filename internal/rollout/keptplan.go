package rollout

import (
	"context"
	"fmt"
	"strings"

	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/domain/fleetplan"
)

// KeptPlan is a plan that was kept, and is to be carried out.
type KeptPlan struct {
	Plan   fleetplan.Plan
	Digest string // sha256 of the file, hex
}

// pinned says what the target means by the plan.
func (k *KeptPlan) pinned() map[string]fleet.Version {
	if k == nil {
		return nil
	}
	pinned := map[string]fleet.Version{}
	for _, r := range k.Plan.Target.Resolved {
		pinned[r.For] = r.Version
	}
	return pinned
}

// mayTakeUp says why an unfinished rollout is not the plan's; nil where it is, or
// where there is no plan.
func (k *KeptPlan) mayTakeUp(have *RolloutRecord) error {
	if k == nil || have.Plan == k.Digest {
		return nil
	}
	if o := k.Plan.Ongoing; o != nil && o.Rollout == have.ID {
		return refuse("the plan was made while rollout %s was under way, so there is nothing to begin; go on with it without a plan", have.ID)
	}
	return refuse("fleet %s has the unfinished rollout %s, which does not carry out this plan; let it end, or abort it first with: liftlock abort --rollout %s", have.Fleet, have.ID, have.ID)
}

// lookFor looks at a fleet, with the versions of a plan where there is one.
func (s *Stepper) lookFor(ctx context.Context, file FleetFile, kept *KeptPlan) (*Outlook, error) {
	reach, err := s.Reach(ctx, &file.Spec)
	if err != nil {
		return nil, fmt.Errorf("fleet %s: %w", file.Spec.Name, err)
	}
	return (&reached{Stepper: s, Reach: reach}).look(ctx, &file.Spec, kept.pinned())
}

// unmoved compares the world with what a plan was made from. What moved is a
// *RefusedError that names all of it.
func (s *Stepper) unmoved(ctx context.Context, file FleetFile, kept *KeptPlan) error {
	p := &kept.Plan
	var moved []string
	if p.Fleet != file.Spec.Name {
		moved = append(moved, fmt.Sprintf("the Fleet file is of fleet %s, the plan of fleet %s", file.Spec.Name, p.Fleet))
	}
	if p.File.Digest != file.Digest {
		moved = append(moved, fmt.Sprintf("the Fleet file changed (digest %.12s, was %.12s)", file.Digest, p.File.Digest))
	}
	in, err := s.planInput(ctx, file, p.File.Path, kept.pinned(), false)
	if err != nil {
		return err
	}
	for i := range in.Clusters {
		if c := &in.Clusters[i]; c.Unoffered != "" {
			return fmt.Errorf("cluster %s: nobody can say what is on offer, so the plan cannot be held against it: %s", c.Cluster.Name, c.Unoffered)
		}
	}
	now := fleetplan.BasisOf(in)
	moved = append(moved, fleetplan.Drift(&p.Basis, &now)...)
	if o := p.Ongoing; o != nil {
		moved = append(moved, fmt.Sprintf("the plan was made while rollout %s was under way, which has ended since", o.Rollout))
	}
	if len(moved) == 0 {
		return nil
	}
	return refuse("the plan of %s is not carried out, because the world moved since:\n  %s\nnothing was touched; make a new one with: liftlock plan --fleet %s --save FILE",
		p.CreatedAt.UTC().Format("2006-01-02 15:04:05 MST"), strings.Join(moved, "\n  "), p.File.Path)
}
