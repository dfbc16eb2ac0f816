package kube

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"liftlock.dev/liftlock/internal/domain/evacuate"
	"liftlock.dev/liftlock/internal/domain/fleet"
)

// markShaped holds the strategy that we gave a Deployment for a restart, so that
// restoring can tell it from one that its owner set since.
const markShaped = "liftlock.dev/strategy-shaped"

// roll restarts a workload by its pod template. The template's mark is the
// action's token, so the same restart is not made twice; a shaped strategy
// travels in the same request, so neither is ever there alone.
func (c *cluster) roll(ctx context.Context, rollout string, action evacuate.Action) (evacuate.Outcome, error) {
	w, outcome, err := c.controllerOf(ctx, action)
	if w == nil {
		return outcome, err
	}
	restart := cmp.Or(action.Token, rollout)
	switch {
	case !w.hasRoll:
		return refused("its update strategy does not restart pods by itself")
	case w.template[fleet.MarkRestarted] == restart:
		return done("already restarted")
	case w.paused:
		return refused("is paused: its owner has to resume it before it can be restarted")
	case action.Shape != nil && w.strategy == nil:
		return refused("has no rolling-update strategy to shape")
	}
	change := patchOf(w).set(restart, "spec", "template", "metadata", "annotations", fleet.MarkRestarted)
	if action.Shape != nil {
		if err := shape(change, w, action.Shape); err != nil {
			return evacuate.Outcome{}, err
		}
	}
	if err := w.patch(ctx, change); err != nil {
		return evacuate.Outcome{}, err
	}
	return done("")
}

// shape adds a strategy to a change. The strategy before it is kept, unless the
// present one is ours already: then what is kept stays.
func shape(change patch, w *controller, to *evacuate.Shape) error {
	shaped := &appsv1.RollingUpdateDeployment{
		MaxUnavailable: new(intstr.FromInt32(to.MaxUnavailable)),
		MaxSurge:       new(intstr.FromInt32(to.MaxSurge)),
	}
	present, err := json.Marshal(w.strategy)
	if err != nil {
		return fmt.Errorf("encode strategy: %w", err)
	}
	next, err := json.Marshal(shaped)
	if err != nil {
		return fmt.Errorf("encode strategy: %w", err)
	}
	_, kept := w.GetAnnotations()[fleet.MarkStrategy]
	if !kept || w.GetAnnotations()[markShaped] != string(present) {
		change.annotate(fleet.MarkStrategy, string(present))
	}
	change.annotate(markShaped, string(next))
	change.set(shaped, "spec", "strategy", "rollingUpdate")
	return nil
}

// restoreShape puts the strategy back that was there before roll shaped it. A
// strategy that is not the one we set is its owner's, and stays.
func (c *cluster) restoreShape(ctx context.Context, action evacuate.Action) (evacuate.Outcome, error) {
	w, outcome, err := c.controllerOf(ctx, action)
	if w == nil {
		return outcome, err
	}
	before, kept := w.GetAnnotations()[fleet.MarkStrategy]
	shaped, known := w.GetAnnotations()[markShaped]
	if !kept && !known {
		return done("has no strategy of ours")
	}
	present, err := json.Marshal(w.strategy)
	if err != nil {
		return evacuate.Outcome{}, fmt.Errorf("encode strategy: %w", err)
	}
	change := patchOf(w).annotate(fleet.MarkStrategy, nil).annotate(markShaped, nil)
	message := ""
	if kept && w.strategy != nil && (!known || shaped == string(present)) {
		var strategy appsv1.RollingUpdateDeployment
		if err := json.Unmarshal([]byte(before), &strategy); err != nil {
			return refused("its annotation %s cannot be read (%v): set the strategy by hand and remove it", fleet.MarkStrategy, err)
		}
		change.set(map[string]any{"maxUnavailable": strategy.MaxUnavailable, "maxSurge": strategy.MaxSurge},
			"spec", "strategy", "rollingUpdate")
	} else {
		message = "its strategy was changed by someone else since, and stays"
	}
	if err := w.patch(ctx, change); err != nil {
		return evacuate.Outcome{}, err
	}
	return done(message)
}
