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
	control := &Control{Store: s.Store, Journal: s.Journal, Clock: s.Clock}
	records, err := s.Store.Records(ctx, "", kindRollout)
	if err != nil {
		return ro, nil, false, fmt.Errorf("list rollouts: %w", err)
	}
	for _, r := range records {
		have, err := decode[RolloutRecord](r)
		if err != nil {
			return ro, nil, false, err
		}
		if have.Fleet != file.Spec.Name || have.State.Ended() {
			continue
		}
		if have.Digest != file.Digest {
			return ro, nil, false, refuse("fleet %s has the unfinished rollout %s, which started with another Fleet file (%.12s, this is %.12s); a rollout keeps its file: let it end, or abort it first with: liftlock abort --rollout %s",
				file.Spec.Name, have.ID, have.Digest, file.Digest, have.ID)
		}
		return have, nil, true, nil
	}
	if look, err = s.Look(ctx, &file.Spec); err != nil {
		return ro, nil, false, err
	}
	if look.NothingToDo() {
		return ro, look, false, nil
	}
	if err := s.Store.PutFleet(ctx, file); err != nil {
		return ro, look, false, fmt.Errorf("keep the Fleet file: %w", err)
	}
	now := s.now()
	id := fmt.Sprintf("%s-%s", strings.ToLower(file.Spec.Name), now.Format("20060102-150405"))
	ro, err = update(ctx, control.Store, id, kindRollout, "", func(r *RolloutRecord) {
		*r = RolloutRecord{ID: id, Fleet: file.Spec.Name, Digest: file.Digest, Target: file.Spec.Target, State: fleet.StatePending, StartedAt: now, StartedBy: actor}
	})
	if err != nil {
		return ro, look, false, err
	}
	return ro, look, false, s.journal(ctx, fleet.JournalEntry{Rollout: id, Actor: actor, Action: "start", Object: file.Spec.Name, Reason: "Fleet file " + file.Digest[:min(12, len(file.Digest))]})
}
