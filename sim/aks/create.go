package aks

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
)

// Seed is a cluster that exists from the start, whatever the rules say about
// making such a one today.
type Seed struct {
	ID         ClusterID
	Location   string
	Version    Version
	Tags       map[string]string
	Properties map[string]any // of the managed cluster, as in a PUT
	SKU        map[string]any
	Pools      []PoolSeed
	// Manifest is applied once the nodes are there.
	Manifest []byte
	// Stopped clusters are stopped once all that is done.
	Stopped bool
}

// PoolSeed is a pool of a Seed.
type PoolSeed struct {
	Name       string
	Version    Version
	Image      string         // a whole node image version; "" for the newest
	Properties map[string]any // as in a PUT
	// Failed pools end in the provisioning state Failed.
	Failed bool
}

// Boot brings a seeded cluster up and returns once it is there.
func (c *Cloud) Boot(ctx context.Context, seed Seed) error {
	c.mu.Lock()
	region := c.regions[strings.ToLower(seed.Location)]
	if region == nil {
		c.mu.Unlock()
		return fmt.Errorf("cluster %s: region %q is not simulated", seed.ID.Name, seed.Location)
	}
	cl := c.newCluster(seed.ID, region, seed.Properties)
	if seed.SKU != nil {
		cl.top["sku"] = seed.SKU
	}
	cl.tags = seed.Tags
	cl.setDefaults()
	cl.version, cl.asked = seed.Version, seed.Version.String()
	for _, s := range seed.Pools {
		p := c.newPool(s.Name, s.Properties)
		p.version, p.asked, p.image = s.Version, s.Version.String(), s.Image
		if p.image == "" {
			p.image = region.latestImage(p.family())
		}
		cl.pools = append(cl.pools, p)
	}
	c.clusters[seed.ID.Key()] = cl
	op := c.begin(ctx, "ManagedClusters_Boot", target{cluster: cl}, stateCreating, func(ctx context.Context, _ *Operation) error {
		if err := c.raise(ctx, cl); err != nil {
			return err
		}
		if len(seed.Manifest) > 0 {
			if err := cl.kube.Apply(ctx, seed.Manifest); err != nil {
				return fmt.Errorf("applying the workloads: %w", err)
			}
		}
		return nil
	})
	c.mu.Unlock()
	select {
	case <-op.done:
	case <-ctx.Done():
		op.cancel(context.Cause(ctx))
		<-op.done
		return context.Cause(ctx)
	}
	c.mu.Lock()
	failure := op.failure
	for i, s := range seed.Pools {
		if p := cl.pools[i]; s.Failed && failure == nil {
			p.state = stateFailed
			p.failure = failed("InternalOperationError", "Internal server error")
		}
	}
	c.mu.Unlock()
	if failure != nil {
		return fmt.Errorf("cluster %s: %w", seed.ID.Name, failure)
	}
	return nil
}

// Halt stops a booted cluster at once, without an operation.
func (c *Cloud) Halt(ctx context.Context, id ClusterID) error {
	c.mu.Lock()
	cl, err := c.find(id)
	c.mu.Unlock()
	if err != nil {
		return err
	}
	if err := cl.kube.Stop(ctx); err != nil {
		return fmt.Errorf("stopping cluster %s: %w", id.Name, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	cl.power = powerStopped
	for _, p := range cl.pools {
		p.power = powerStopped
	}
	return nil
}

// newCluster makes the record of a cluster. The caller holds c.mu.
func (c *Cloud) newCluster(id ClusterID, region *Region, props object) *cluster {
	cl := &cluster{
		id: id, region: region, location: region.Name, top: object{}, props: props.without("agentPoolProfiles", "kubernetesVersion"),
		state: stateCreating, power: powerRunning, uid: strings.ReplaceAll(c.uuid(), "-", "")[:24], created: c.now().UTC(),
		maintenance: map[string]object{},
	}
	cl.nodeRG = props.text("nodeResourceGroup")
	if cl.nodeRG == "" {
		cl.nodeRG = fmt.Sprintf("MC_%s_%s_%s", id.Group, id.Name, region.Name)
	}
	return cl
}

// newPool makes the record of a pool with AKS's defaults. The caller holds c.mu.
func (c *Cloud) newPool(name string, props object) *pool {
	p := &pool{name: name, props: props.without("orchestratorVersion", "creationData", "name"), state: stateCreating, power: powerRunning, etag: c.uuid()}
	p.props = p.props.without(poolReadOnly()...)
	setDefault(p.props, "count", 1)
	setDefault(p.props, "mode", modeUser)
	setDefault(p.props, "osType", "Linux")
	if p.windows() {
		setDefault(p.props, "osSKU", "Windows2022")
	}
	setDefault(p.props, "osSKU", "Ubuntu")
	setDefault(p.props, "type", "VirtualMachineScaleSets")
	setDefault(p.props, "vmSize", "Standard_D4ds_v5")
	setDefault(p.props, "maxPods", 110)
	setDefault(p.props, "osDiskSizeGB", 128)
	setDefault(p.props, "osDiskType", "Managed")
	setDefault(p.props, "kubeletDiskType", "OS")
	setDefault(p.props, "enableAutoScaling", false)
	setDefault(p.props, "enableNodePublicIP", false)
	setDefault(p.props, "enableEncryptionAtHost", false)
	setDefault(p.props, "enableFIPS", false)
	setDefault(p.props, "enableUltraSSD", false)
	setDefault(p.props, "scaleDownMode", "Delete")
	settings := p.props.object("upgradeSettings").without()
	if !settings.has("maxSurge") && settings.text("maxUnavailable") == "" {
		settings["maxSurge"] = "10%"
	}
	p.props["upgradeSettings"] = settings
	if size, ok := FindVMSize(p.props.text("vmSize")); ok {
		p.props["vmSize"] = size.Name
	}
	p.labelled = slices.Collect(maps.Keys(p.props.textMap("nodeLabels")))
	return p
}

// createCluster takes a PUT of a cluster that is not there yet. The caller
// holds c.mu.
func (c *Cloud) createCluster(ctx context.Context, id ClusterID, in object) (Result, error) {
	if !clusterName.MatchString(id.Name) {
		return Result{}, invalidParameter("resourceName", "%q is not a valid managed cluster name", id.Name)
	}
	region := c.regions[strings.ToLower(strings.ReplaceAll(in.text("location"), " ", ""))]
	if region == nil {
		return Result{}, &Error{
			Status: 400, Code: "LocationNotAvailableForResourceType", ARM: true,
			Message: fmt.Sprintf("The provided location '%s' is not available for resource type 'Microsoft.ContainerService/managedClusters'.", in.text("location")),
		}
	}
	props := in.object("properties")
	cl := c.newCluster(id, region, props)
	cl.top = in.without("id", "name", "type", "properties", "tags", "eTag", "systemData", "location")
	cl.tags = in.textMap("tags")
	cl.setDefaults()
	version, _ := region.defaultVersion()
	cl.asked = version.String()
	if asked := props.text("kubernetesVersion"); asked != "" {
		parsed, err := ParseVersion(asked)
		if err != nil {
			return Result{}, invalidParameter("kubernetesVersion", "%v", err)
		}
		if parsed.Patch < 0 {
			if latest, ok := region.latestPatch(parsed, cl.plan()); ok {
				parsed = latest
			}
		}
		if offer, ok := region.find(parsed); !ok || !offer.supported(cl.plan()) {
			return Result{}, cl.notSupported(parsed)
		}
		version, cl.asked = parsed, asked
	}
	cl.version = version
	profiles, _ := props["agentPoolProfiles"].([]any)
	systems := 0
	for _, item := range profiles {
		profile, ok := item.(map[string]any)
		if !ok {
			return Result{}, invalidParameter("agentPoolProfiles", "an agent pool profile must be an object")
		}
		p, err := c.plannedPool(cl, object(profile).text("name"), profile)
		if err != nil {
			return Result{}, err
		}
		if cl.pool(p.name) != nil {
			return Result{}, invalidParameter("agentPoolProfiles", "agent pool name %q is used twice", p.name)
		}
		if p.mode() == modeSystem {
			systems++
		}
		cl.pools = append(cl.pools, p)
	}
	if systems == 0 {
		return Result{}, badRequest("BadRequest", "Must define at least one system pool.")
	}
	c.clusters[id.Key()] = cl
	op := c.begin(ctx, "ManagedClusters_CreateOrUpdate", target{cluster: cl}, stateCreating, func(ctx context.Context, _ *Operation) error {
		return c.raise(ctx, cl)
	})
	return Result{Body: toJSON(cl.render()), Created: true, Operation: op}, nil
}

// raise starts a cluster's control plane, its nodes and what every cluster
// brings along.
func (c *Cloud) raise(ctx context.Context, cl *cluster) error {
	kube, err := c.kube.Create(ctx, ClusterSpec{ID: cl.id.Key(), Name: cl.id.Name, Version: cl.version.String(), Timing: c.timing(cl.id.Name)})
	if err != nil {
		return fmt.Errorf("starting the control plane: %w", err)
	}
	c.mu.Lock()
	cl.kube = kube
	pools := slices.Clone(cl.pools)
	gone := c.clusters[cl.id.Key()] != cl
	c.mu.Unlock()
	if gone {
		return kube.Delete(context.WithoutCancel(ctx))
	}
	if c.observer != nil {
		c.observer.ClusterUp(cl.id, kube)
	}
	if len(c.addOns) > 0 {
		if err := kube.Apply(ctx, c.addOns); err != nil {
			return fmt.Errorf("applying the add-ons: %w", err)
		}
	}
	group, groupCtx := errgroup.WithContext(ctx)
	for _, p := range pools {
		group.Go(func() error {
			err := c.scale(groupCtx, cl, p)
			c.mu.Lock()
			defer c.mu.Unlock()
			p.state = stateSucceeded
			if err != nil {
				p.state, p.failure = stateFailed, asFailure(err)
			}
			return err
		})
	}
	return group.Wait()
}
