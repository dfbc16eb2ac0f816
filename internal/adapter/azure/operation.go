package azure

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/containerservice/armcontainerservice/v9"

	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/rollout"
)

// The kinds of operations, as they stand in rollout.Operation.
const (
	kindControlPlane = "upgradeControlPlane"
	kindCreatePool   = "createPool"
	kindUpgradePool  = "upgradePool"
	kindNodeImage    = "upgradeNodeImage"
	kindAutoscaler   = "setAutoscaler"
	kindDeletePool   = "deletePool"
	kindChannels     = "setChannels"
	kindReconcile    = "reconcile"

	kindScalePool      = "scalePool"
	kindDeleteMachines = "deleteMachines"
)

// The calls that start operations. A poller can only be taken up again as the
// type that the call gave.
const (
	callPutCluster = "ManagedClusters_CreateOrUpdate"
	callPutPool    = "AgentPools_CreateOrUpdate"
	callDeletePool = "AgentPools_Delete"
	callNodeImage  = "AgentPools_UpgradeNodeImageVersion"

	callDeleteMachines = "AgentPools_DeleteMachines"
)

// handle is what a rollout.Operation's token holds: enough for any process to
// ask for the operation, and to speak of it.
type handle struct {
	Call    string `json:"call"`
	Cluster string `json:"cluster"` // resource id
	Pool    string `json:"pool,omitempty"`
	Object  string `json:"object"`
	Doing   string `json:"doing"`
	Resume  string `json:"resume"` // the SDK's own token, with signed URLs
}

// begun turns a started poller into an operation. One that has ended already is
// no operation, or its error.
func begun[T any](ctx context.Context, p *Provider, kind string, h handle, a act, poller *runtime.Poller[T]) (rollout.Operation, error) {
	h.Object, h.Doing = a.object, a.doing
	if poller.Done() {
		if _, err := poller.Result(ctx); err != nil {
			return rollout.Operation{}, a.failed(ctx, err)
		}
		p.log.InfoContext(ctx, "operation done at once", slog.String("kind", kind), slog.String("object", a.object))
		return rollout.Operation{}, nil
	}
	resume, err := poller.ResumeToken()
	if err != nil {
		return rollout.Operation{}, fmt.Errorf("%s: %s: keep the operation: %w", a.object, a.doing, &scrubbed{err})
	}
	h.Resume = resume
	token, err := json.Marshal(h)
	if err != nil {
		return rollout.Operation{}, fmt.Errorf("%s: %s: keep the operation: %w", a.object, a.doing, err)
	}
	p.log.InfoContext(ctx, "operation started", slog.String("kind", kind), slog.String("object", a.object), slog.String("doing", a.doing))
	return rollout.Operation{Kind: kind, Token: string(token)}, nil
}

// Poll implements rollout.Provider. It asks once. An operation that ended badly
// gives Done together with its error; an error without Done means that the
// operation could not be asked for and may be polled again.
func (p *Provider) Poll(ctx context.Context, op rollout.Operation) (rollout.OperationStatus, error) {
	if op == (rollout.Operation{}) {
		return rollout.OperationStatus{Done: true}, nil
	}
	var h handle
	if err := json.Unmarshal([]byte(op.Token), &h); err != nil {
		// The text of the error would quote the token.
		return rollout.OperationStatus{}, act{"operation " + op.Kind, "poll"}.unreadable()
	}
	a := act{h.Object, h.Doing}
	t, err := p.cluster(h.Cluster, a)
	if err != nil {
		return rollout.OperationStatus{}, err
	}
	var status rollout.OperationStatus
	switch h.Call {
	case callPutCluster:
		poller, err := t.clusters.BeginCreateOrUpdate(ctx, t.group, t.name, armcontainerservice.ManagedCluster{}, &armcontainerservice.ManagedClustersClientBeginCreateOrUpdateOptions{ResumeToken: h.Resume})
		status, err = ask(ctx, a, poller, err)
		return p.settle(ctx, t, h, a, status, err)
	case callPutPool:
		poller, err := t.pools.BeginCreateOrUpdate(ctx, t.group, t.name, h.Pool, armcontainerservice.AgentPool{}, &armcontainerservice.AgentPoolsClientBeginCreateOrUpdateOptions{ResumeToken: h.Resume})
		status, err = ask(ctx, a, poller, err)
		return p.settle(ctx, t, h, a, status, err)
	case callDeletePool:
		poller, err := t.pools.BeginDelete(ctx, t.group, t.name, h.Pool, &armcontainerservice.AgentPoolsClientBeginDeleteOptions{ResumeToken: h.Resume})
		status, err = ask(ctx, a, poller, err)
		return p.settle(ctx, t, h, a, status, err)
	case callDeleteMachines:
		poller, err := t.pools.BeginDeleteMachines(ctx, t.group, t.name, h.Pool, armcontainerservice.AgentPoolDeleteMachinesParameter{}, &armcontainerservice.AgentPoolsClientBeginDeleteMachinesOptions{ResumeToken: h.Resume})
		status, err = ask(ctx, a, poller, err)
		return p.settle(ctx, t, h, a, status, err)
	case callNodeImage:
		poller, err := t.pools.BeginUpgradeNodeImageVersion(ctx, t.group, t.name, h.Pool, &armcontainerservice.AgentPoolsClientBeginUpgradeNodeImageVersionOptions{ResumeToken: h.Resume})
		status, err = ask(ctx, a, poller, err)
		return p.settle(ctx, t, h, a, status, err)
	}
	return status, a.unreadable()
}

// unreadable is the refusal of a token that this version cannot take up.
func (a act) unreadable() error {
	return a.refuse(rollout.CodeInvalid, "look at the cluster again: its provisioning state tells how far it came", "the operation's token is unreadable")
}

// ask polls once and, where the operation has ended, reads how.
func ask[T any](ctx context.Context, a act, poller *runtime.Poller[T], err error) (rollout.OperationStatus, error) {
	if err != nil {
		// A token that the SDK does not take; its error quotes the token.
		return rollout.OperationStatus{}, a.unreadable()
	}
	resp, err := poller.Poll(ctx) //nolint:bodyclose // the SDK has read and closed it
	if err != nil {
		return rollout.OperationStatus{}, err
	}
	if !poller.Done() {
		return rollout.OperationStatus{RetryAfter: retryAfter(resp, time.Now())}, nil
	}
	if succeeded(resp) {
		// What the object looks like now is read where it is needed.
		return rollout.OperationStatus{Done: true}, nil
	}
	if _, err := poller.Result(ctx); err != nil {
		return rollout.OperationStatus{Done: ended(err)}, err
	}
	return rollout.OperationStatus{Done: true}, nil
}

// succeeded reports whether an operation's status says so in words.
func succeeded(resp *http.Response) bool {
	body, err := runtime.Payload(resp)
	if err != nil {
		return false
	}
	var status struct {
		Status string `json:"status"`
	}
	return json.Unmarshal(body, &status) == nil && strings.EqualFold(status.Status, "Succeeded")
}

// settle puts an operation's error into words. The service forgets operations
// after a while; then the object itself tells how it ended.
func (p *Provider) settle(ctx context.Context, t target, h handle, a act, status rollout.OperationStatus, err error) (rollout.OperationStatus, error) {
	if err != nil && !status.Done && gone(err) {
		return p.observe(ctx, t, h, a)
	}
	return status, a.failed(ctx, err)
}

// observe concludes from the object's provisioning state.
func (p *Provider) observe(ctx context.Context, t target, h handle, a act) (rollout.OperationStatus, error) {
	p.log.InfoContext(ctx, "operation no longer known, looking at the object", slog.String("object", a.object))
	var state, problem string
	if h.Pool == "" {
		got, err := t.clusters.Get(ctx, t.group, t.name, nil)
		if err != nil {
			return rollout.OperationStatus{Done: gone(err)}, a.failed(ctx, err)
		}
		c, err := clusterOf(&got.ManagedCluster)
		if err != nil {
			return rollout.OperationStatus{}, fmt.Errorf("%s: %s: %w", a.object, a.doing, err)
		}
		state, problem = c.ProvisioningState, c.ProvisioningError
	} else {
		pool, err := readPool(ctx, t, h.Pool, a)
		if err != nil {
			if rollout.CodeOf(err) == rollout.CodeNotFound && h.Call == callDeletePool {
				return rollout.OperationStatus{Done: true}, nil
			}
			return rollout.OperationStatus{Done: rollout.CodeOf(err) == rollout.CodeNotFound}, err
		}
		seen := poolOf(h.Pool, pool.Properties)
		state, problem = seen.ProvisioningState, seen.ProvisioningError
	}
	switch {
	case !fleet.Settled(state):
		return rollout.OperationStatus{}, nil
	case strings.EqualFold(state, succeededState):
		return rollout.OperationStatus{Done: true}, nil
	case problem == "":
		problem = "the provisioning state is " + state
	}
	r := refusal{ended: true, status: http.StatusOK, message: problem}
	for _, m := range quotedCode.FindAllStringSubmatch(problem, maxErrorCodes) {
		r.add(m[1])
	}
	if code, _, ok := strings.Cut(problem, ":"); ok {
		r.add(code)
	}
	code, remedy := classify(&r)
	return rollout.OperationStatus{Done: true}, a.refuse(code, remedy, "%s", problem)
}

const (
	succeededState = "Succeeded"
	deletingState  = "Deleting"
)
