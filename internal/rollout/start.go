package rollout

import (
	"context"
	"fmt"
	"strings"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// Start begins a rollout of a Fleet file, or takes up the one that was begun
// with the same file and has not ended. resumed tells which. A fleet on which
// nothing is to be done starts nothing: the record is empty then, and the
// Outlook says what was seen. Another Fleet file than the unfinished rollout's
// is a *RefusedError.
func (s *Stepper) Start(ctx context.Context, file FleetFile, actor string) (ro RolloutRecord, look *Outlook, resumed bool, err error) {
	return s.StartPlan(ctx, file, nil, actor)
}

// StartPlan is Start with a plan that was kept, if it is not nil: the versions are
// those of the plan. A world that has moved since it was made is a *RefusedError
// that names what moved, and nothing is recorded.
func (s *Stepper) StartPlan(ctx context.Context, file FleetFile, kept *KeptPlan, actor string) (ro RolloutRecord, look *Outlook, resumed bool, err error) {
	have, under, err := s.unfinished(ctx, file.Spec.Name)
	if err != nil {
		return ro, nil, false, err
	}
	if under {
		if have.Digest != file.Digest {
			return ro, nil, false, refuse("fleet %s has the unfinished rollout %s, which started with another Fleet file (%.12s, this is %.12s); a rollout keeps its file: let it end, or abort it first with: liftlock abort --rollout %s",
				file.Spec.Name, have.ID, have.Digest, file.Digest, have.ID)
		}
		if err := kept.mayTakeUp(&have); err != nil {
			return ro, nil, false, err
		}
		return have, nil, true, nil
	}
	now := s.now()
	id := fmt.Sprintf("%s-%s", strings.ToLower(file.Spec.Name), now.Format("20060102-150405"))
	ro = RolloutRecord{ID: id, Fleet: file.Spec.Name, Digest: file.Digest, Target: file.Spec.Target, State: fleet.StatePending, StartedAt: now, StartedBy: actor}
	reason := "Fleet file " + file.Digest[:min(12, len(file.Digest))]
	if kept != nil {
		ro.Plan, ro.Pinned, ro.Stops = kept.Digest, kept.pinned(), kept.Plan.Basis.Stops
		reason += ", plan " + kept.Digest[:min(12, len(kept.Digest))]
	}
	if look, err = s.lookFor(ctx, file, kept); err != nil || look.NothingToDo() {
		return RolloutRecord{}, look, false, err
	}
	if kept != nil {
		if err := s.unmoved(ctx, file, kept); err != nil {
			return RolloutRecord{}, look, false, err
		}
	}
	if err := s.Store.PutFleet(ctx, file); err != nil {
		return RolloutRecord{}, look, false, fmt.Errorf("keep the Fleet file: %w", err)
	}
	begun, err := update(ctx, s.Store, id, kindRollout, "", func(r *RolloutRecord) { *r = ro })
	if err != nil {
		return begun, look, false, err
	}
	return begun, look, false, s.journal(ctx, fleet.JournalEntry{Rollout: id, Actor: actor, Action: "start", Object: file.Spec.Name, Reason: reason})
}
