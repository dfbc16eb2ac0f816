package azure

import (
	"encoding/json"
	"fmt"
	"math"

	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/containerservice/armcontainerservice/v9"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

type poolProperties = armcontainerservice.ManagedClusterAgentPoolProfileProperties

// propertiesOf turns a pool as the cluster shows it into the pool as it shows
// itself. The SDK has two types for the same fields.
func propertiesOf(profile *armcontainerservice.ManagedClusterAgentPoolProfile) (*poolProperties, error) {
	data, err := json.Marshal(profile)
	if err != nil {
		return nil, err
	}
	p := &poolProperties{}
	return p, json.Unmarshal(data, p)
}

// clone copies pool properties deeply.
func clone(p *poolProperties) (*poolProperties, error) {
	data, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	c := &poolProperties{}
	return c, json.Unmarshal(data, c)
}

// writable clears what the service reports and does not take. Above all the
// node image: writing it, even unchanged, asks for a rollback to it.
func writable(p *poolProperties) {
	p.CurrentOrchestratorVersion = nil
	p.ETag = nil
	p.NodeImageVersion = nil
	p.ProvisioningState = nil
	p.Status = nil
	p.VirtualMachineNodesStatus = nil
}

// writableProfile is writable for a pool within its cluster. A pool whose asked
// version is missing is given the one that it runs, since a missing one means
// "the control plane's".
func writableProfile(p *armcontainerservice.ManagedClusterAgentPoolProfile) {
	if p.OrchestratorVersion == nil {
		p.OrchestratorVersion = p.CurrentOrchestratorVersion
	}
	p.CurrentOrchestratorVersion = nil
	p.ETag = nil
	p.NodeImageVersion = nil
	p.ProvisioningState = nil
	p.Status = nil
	p.VirtualMachineNodesStatus = nil
}

// newPool describes a pool that is all that like is, except for what the
// rollout gives it: version, image, size, autoscaler and tags. Fields that the
// SDK learns later are copied too; a test makes whoever updates it decide.
func newPool(like *poolProperties, want *fleet.Pool) (*poolProperties, error) {
	p, err := clone(like)
	if err != nil {
		return nil, err
	}
	writable(p)
	p.PowerState = nil // a new pool runs
	p.OrchestratorVersion = new(want.Version.String())
	p.CreationData = creationData(want.SnapshotID)
	if want.Tags != nil {
		p.Tags = wire(want.Tags)
	}
	if p.Count, err = nodes(want.Count); err != nil {
		return nil, err
	}
	if err := setAutoscaler(p, want.Autoscaler); err != nil {
		return nil, err
	}
	if sizes := manualSizes(p); len(sizes) == 1 {
		sizes[0].Count = p.Count
	}
	return p, nil
}

// uncopied names the settings of a pool that newPool cannot carry over, in a
// fixed order.
func uncopied(p *poolProperties) []string {
	var names []string
	if is(p.Type, armcontainerservice.AgentPoolTypeAvailabilitySet) {
		names = append(names, "type: AvailabilitySet (AKS adds no second pool of this type)")
	}
	if stopped(p.PowerState) {
		names = append(names, "powerState: Stopped (a new pool runs)")
	}
	if p.GatewayProfile != nil || is(p.Mode, armcontainerservice.AgentPoolModeGateway) {
		names = append(names, "gatewayProfile: egress addresses (gateways are bound to the pool's name)")
	}
	if p.EnableNodePublicIP != nil && *p.EnableNodePublicIP {
		names = append(names, "enableNodePublicIP: the nodes' public addresses (new nodes get others)")
	}
	if len(manualSizes(p)) > 1 {
		names = append(names, "virtualMachinesProfile: the number of nodes (each VM size keeps its own)")
	}
	return names
}

func setAutoscaler(p *poolProperties, to *fleet.Autoscaler) (err error) {
	if to == nil {
		p.EnableAutoScaling, p.MinCount, p.MaxCount = new(false), nil, nil
		return nil
	}
	if to.Min > to.Max {
		return fmt.Errorf("the autoscaler's minimum %d is above its maximum %d", to.Min, to.Max)
	}
	p.EnableAutoScaling = new(true)
	if p.MinCount, err = nodes(to.Min); err != nil {
		return err
	}
	p.MaxCount, err = nodes(to.Max)
	return err
}

func creationData(snapshotID string) *armcontainerservice.CreationData {
	if snapshotID == "" {
		return nil
	}
	return &armcontainerservice.CreationData{SourceResourceID: &snapshotID}
}

// nodes checks and writes a number of nodes.
func nodes(n int) (*int32, error) {
	if n < 0 || n > math.MaxInt32 {
		return nil, fmt.Errorf("%d is no number of nodes", n)
	}
	return new(int32(n)), nil
}
