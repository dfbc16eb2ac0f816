package kube

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// ownSnapshot is a fleet.Snapshot that is read member by member.
type ownSnapshot struct {
	s   fleet.Snapshot
	any bool
}

// take takes the value of one of its members; false when the key is none.
func (o *ownSnapshot) take(t *text, key string) (bool, error) {
	var err error
	switch key {
	case "takenAt":
		var raw []byte
		if raw, err = t.value(nil); err == nil {
			err = json.Unmarshal(raw, &o.s.TakenAt)
		}
	case "nodes":
		err = members(t, &o.s.Nodes)
	case "pods":
		err = members(t, &o.s.Pods)
	case "workloads":
		err = members(t, &o.s.Workloads)
	case "budgets":
		err = members(t, &o.s.Budgets)
	case "claims":
		err = members(t, &o.s.Claims)
	case "terminatingNamespaces":
		err = members(t, &o.s.TerminatingNamespaces)
	default:
		return false, nil
	}
	o.any = true
	return true, err
}

// members reads a list one by one.
func members[T any](t *text, into *[]T) error {
	if c, err := t.peek(); err == nil && c == 'n' {
		return t.skip()
	}
	if err := t.expect('['); err != nil {
		return err
	}
	for n := 0; ; n++ {
		more, err := t.more(n == 0, ']')
		if err != nil || !more {
			return err
		}
		raw, err := t.value(nil)
		if err != nil {
			return fmt.Errorf("[%d]: %w", n, err)
		}
		var one T
		if err := json.Unmarshal(raw, &one); err != nil {
			return fmt.Errorf("[%d]: %w", n, err)
		}
		*into = append(*into, one)
	}
}

// snapshot checks what was read.
func (o *ownSnapshot) snapshot() (fleet.Snapshot, error) {
	s := &o.s
	var wrong []error
	seen := map[string]bool{}
	once := func(what string) {
		if seen[what] {
			wrong = append(wrong, errors.New(what+" is there twice"))
		}
		seen[what] = true
	}
	if s.TakenAt.IsZero() {
		wrong = append(wrong, errors.New("takenAt is missing"))
	}
	if len(s.Nodes) == 0 {
		wrong = append(wrong, errors.New("holds no nodes"))
	}
	for i := range s.Nodes {
		once("Node " + s.Nodes[i].Name)
	}
	for i := range s.Pods {
		once("Pod " + s.Pods[i].Key())
	}
	for i := range s.Workloads {
		w := &s.Workloads[i]
		once(w.Key())
		if w.Replicas < 0 || w.Replicas > mostReplicas {
			wrong = append(wrong, fmt.Errorf("%s: %d is not a number of replicas", w.Key(), w.Replicas))
		}
		if err := errors.Join(amountIn("maxUnavailable", w.MaxUnavailable), amountIn("maxSurge", w.MaxSurge)); err != nil {
			wrong = append(wrong, fmt.Errorf("%s: %w", w.Key(), err))
		}
	}
	for i := range s.Budgets {
		b := &s.Budgets[i]
		once("PodDisruptionBudget " + b.Key())
		if err := errors.Join(amountIn("minAvailable", b.MinAvailable), amountIn("maxUnavailable", b.MaxUnavailable)); err != nil {
			wrong = append(wrong, fmt.Errorf("PodDisruptionBudget %s: %w", b.Key(), err))
		}
	}
	if err := errors.Join(wrong...); err != nil {
		return *s, errors.New(strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	return *s, nil
}
