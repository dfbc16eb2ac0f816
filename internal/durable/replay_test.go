package durable

import (
	"path/filepath"
	"testing"

	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
)

// TestReplay: histories of rollouts that were run by earlier versions replay. A
// change of the workflows that breaks one would stop rollouts that are under way
// in their tracks; make it with workflow.GetVersion. The files were written by
// TestHistories of package embedded, which adds to them and changes none.
func TestReplay(t *testing.T) {
	files, err := filepath.Glob("testdata/histories/*.json")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 4 {
		t.Fatalf("only %d histories", len(files))
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			r := worker.NewWorkflowReplayer()
			for name, w := range map[string]any{
				FleetWorkflowName: FleetRollout, RingWorkflowName: RingRollout, ClusterWorkflowName: ClusterUpgrade, PoolWorkflowName: PoolUpgrade,
			} {
				r.RegisterWorkflowWithOptions(w, workflow.RegisterOptions{Name: name})
			}
			if err := r.ReplayWorkflowHistoryFromJSONFile(nil, file); err != nil {
				t.Error(err)
			}
		})
	}
}
