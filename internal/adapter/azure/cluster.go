package azure

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/containerservice/armcontainerservice/v9"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// clusterOf translates a managed cluster. What runs comes from the "current"
// versions: the others are what was asked for, and may be an alias ("1.35").
func clusterOf(mc *armcontainerservice.ManagedCluster) (fleet.Cluster, error) {
	if mc == nil || mc.ID == nil || mc.Properties == nil {
		return fleet.Cluster{}, errors.New("a managed cluster without id or properties")
	}
	id, err := parseID(*mc.ID, clusterType)
	if err != nil {
		return fleet.Cluster{}, err
	}
	props := mc.Properties
	c := fleet.Cluster{
		ID:                strings.ToLower(*mc.ID),
		Name:              text(mc.Name),
		Subscription:      strings.ToLower(id.subscription),
		ResourceGroup:     id.group,
		Location:          text(mc.Location),
		Tags:              texts(mc.Tags),
		Version:           running(props.CurrentKubernetesVersion, props.KubernetesVersion),
		ProvisioningState: text(props.ProvisioningState),
		Stopped:           stopped(props.PowerState),
		ETag:              text(mc.ETag),
		MaxPools:          number(props.MaxAgentPools),
		LongTermSupport:   is(props.SupportPlan, armcontainerservice.KubernetesSupportPlanAKSLongTermSupport),
		NodeResourceGroup: text(props.NodeResourceGroup),
		Endpoint:          text(props.Fqdn),
		Pools:             make([]fleet.Pool, 0, len(props.AgentPoolProfiles)),
	}
	if c.Name == "" {
		c.Name = id.name
	}
	if c.Endpoint == "" {
		c.Endpoint = text(props.PrivateFQDN)
	}
	if props.Status != nil {
		c.ProvisioningError = describe(props.Status.ProvisioningError)
	}
	if auto := props.AutoUpgradeProfile; auto != nil {
		c.UpgradeChannel, c.NodeOSUpgradeChannel = text(auto.UpgradeChannel), text(auto.NodeOSUpgradeChannel)
	}
	for _, profile := range props.AgentPoolProfiles {
		if profile == nil {
			continue
		}
		pool, err := propertiesOf(profile)
		if err != nil {
			return fleet.Cluster{}, fmt.Errorf("%s: pool %s: %w", *mc.ID, text(profile.Name), err)
		}
		c.Pools = append(c.Pools, poolOf(text(profile.Name), pool))
	}
	return c, nil
}

// poolOf translates an agent pool.
func poolOf(name string, p *armcontainerservice.ManagedClusterAgentPoolProfileProperties) fleet.Pool {
	pool := fleet.Pool{
		Name:              name,
		Mode:              text(p.Mode),
		OS:                text(p.OSType),
		OSSKU:             text(p.OSSKU),
		Type:              text(p.Type),
		Spot:              is(p.ScaleSetPriority, armcontainerservice.ScaleSetPrioritySpot),
		VMSize:            text(p.VMSize),
		Count:             number(p.Count),
		Version:           running(p.CurrentOrchestratorVersion, p.OrchestratorVersion),
		Image:             text(p.NodeImageVersion),
		Zones:             list(p.AvailabilityZones),
		Labels:            texts(p.NodeLabels),
		Taints:            list(p.NodeTaints),
		Tags:              texts(p.Tags),
		MaxPods:           number(p.MaxPods),
		Autoscaler:        autoscalerOf(p),
		ProvisioningState: text(p.ProvisioningState),
		Stopped:           stopped(p.PowerState),
		ETag:              text(p.ETag),
		Uncopied:          uncopied(p),
	}
	if p.CreationData != nil {
		pool.SnapshotID = strings.ToLower(text(p.CreationData.SourceResourceID))
	}
	if p.Status != nil {
		pool.ProvisioningError = describe(p.Status.ProvisioningError)
	}
	// Pools of single virtual machines keep size and count by themselves.
	if sizes := manualSizes(p); len(sizes) > 0 {
		if pool.VMSize == "" {
			pool.VMSize = text(sizes[0].Size)
		}
		if pool.Count == 0 {
			for _, s := range sizes {
				pool.Count += number(s.Count)
			}
		}
	}
	return pool
}

func manualSizes(p *armcontainerservice.ManagedClusterAgentPoolProfileProperties) []*armcontainerservice.ManualScaleProfile {
	if p.VirtualMachinesProfile == nil || p.VirtualMachinesProfile.Scale == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(p.VirtualMachinesProfile.Scale.Manual), func(s *armcontainerservice.ManualScaleProfile) bool { return s == nil })
}

func autoscalerOf(p *armcontainerservice.ManagedClusterAgentPoolProfileProperties) *fleet.Autoscaler {
	if p.EnableAutoScaling == nil || !*p.EnableAutoScaling {
		return nil
	}
	return &fleet.Autoscaler{Min: number(p.MinCount), Max: number(p.MaxCount)}
}

// running reads the version that runs; what was asked for serves only where it
// is a whole version and the service says nothing else.
func running(current, asked *string) fleet.Version {
	for _, s := range []*string{current, asked} {
		if v, ok := wholeVersion(text(s)); ok {
			return v
		}
	}
	return fleet.Version{}
}

// wholeVersion reads MAJOR.MINOR.PATCH; an alias such as "1.35" is none.
func wholeVersion(s string) (fleet.Version, bool) {
	if strings.Count(s, ".") < 2 {
		return fleet.Version{}, false
	}
	v, err := fleet.ParseVersion(s)
	return v, err == nil
}

// describe puts a provisioning error into one line.
func describe(e *armcontainerservice.ErrorDetail) string {
	r := refusal{ended: true}
	gather(&r, e, 0)
	switch {
	case r.message == "":
		return scrub(strings.Join(r.codes, ": "))
	case len(r.codes) == 0:
		return scrub(r.message)
	}
	return scrub(r.codes[0] + ": " + r.message)
}

func gather(r *refusal, e *armcontainerservice.ErrorDetail, depth int) {
	if e == nil || depth > maxErrorDepth {
		return
	}
	r.add(text(e.Code))
	r.say(text(e.Message))
	for _, d := range e.Details {
		gather(r, d, depth+1)
	}
}

func stopped(s *armcontainerservice.PowerState) bool {
	return s != nil && is(s.Code, armcontainerservice.CodeStopped)
}

// is compares one of the service's words without regard to case.
func is[T ~string](got *T, want T) bool {
	return got != nil && strings.EqualFold(string(*got), string(want))
}

// text reads an optional word; absent is "".
func text[T ~string](s *T) string {
	if s == nil {
		return ""
	}
	return string(*s)
}

func number(n *int32) int {
	if n == nil {
		return 0
	}
	return int(*n)
}

// texts reads an optional map; an empty one is nil.
func texts(m map[string]*string) map[string]string {
	if len(m) == 0 {
		return nil
	}
	read := make(map[string]string, len(m))
	for k, v := range m {
		read[k] = text(v)
	}
	return read
}

func list(values []*string) []string {
	if len(values) == 0 {
		return nil
	}
	read := make([]string, 0, len(values))
	for _, v := range values {
		if v != nil {
			read = append(read, *v)
		}
	}
	return read
}

// wire is the way back: a map as the SDK wants it. nil stays nil.
func wire(m map[string]string) map[string]*string {
	if m == nil {
		return nil
	}
	written := make(map[string]*string, len(m))
	for k, v := range maps.All(m) {
		written[k] = &v
	}
	return written
}
