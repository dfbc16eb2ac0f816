package aks

import (
	"context"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
)

// goal is what a pool's nodes are to run.
type goal struct {
	asked   string
	version Version
	image   string
}

// setGoal writes what the nodes are to become; until they are,
// currentOrchestratorVersion and nodeImageVersion tell what they are.
func (p *pool) setGoal(g goal) {
	p.asked, p.goalVersion, p.goalImage = g.asked, g.version, g.image
}

// goal returns what the nodes are to run: what an unfinished upgrade aims at,
// or what they run already.
func (p *pool) goal() (Version, string) {
	if p.goalImage == "" {
		return p.version, p.image
	}
	return p.goalVersion, p.goalImage
}

// unfinished reports whether something asked of the pool was not carried out.
func (p *pool) unfinished() bool {
	version, image := p.goal()
	return p.state != stateSucceeded || version != p.version || image != p.image
}

// Pools lists the agent pools of a cluster.
func (c *Cloud) Pools(id ClusterID) ([]json.RawMessage, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	cl, err := c.find(id)
	if err != nil {
		return nil, err
	}
	list := make([]json.RawMessage, 0, len(cl.pools))
	for _, p := range cl.pools {
		list = append(list, toJSON(p.render(cl.id)))
	}
	return list, nil
}

// Pool returns an agent pool.
func (c *Cloud) Pool(id ClusterID, name string) (json.RawMessage, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	cl, p, err := c.findPool(id, name)
	if err != nil {
		return nil, err
	}
	return toJSON(p.render(cl.id)), nil
}

func (c *Cloud) findPool(id ClusterID, name string) (*cluster, *pool, error) {
	cl, err := c.find(id)
	if err != nil {
		return nil, nil, err
	}
	p := cl.pool(name)
	if p == nil {
		return cl, nil, poolNotFound(name, id.Name)
	}
	return cl, p, nil
}

var poolName = regexp.MustCompile(`^[a-z][a-z0-9]{0,11}$`)

func poolReadOnly() []string {
	return []string{"provisioningState", "powerState", "currentOrchestratorVersion", "nodeImageVersion", "eTag", "status", "name"}
}

func poolImmutable() []string {
	return []string{
		"vmSize", "osType", "type", "availabilityZones", "maxPods", "vnetSubnetID", "podSubnetID", "osDiskSizeGB", "osDiskType",
		"kubeletDiskType", "enableNodePublicIP", "enableEncryptionAtHost", "enableUltraSSD", "scaleSetPriority", "proximityPlacementGroupID",
		"kubeletConfig", "linuxOSConfig",
	}
}

// mergePool applies the properties of a PUT to those of a pool and checks the
// outcome. The caller holds c.mu.
func (c *Cloud) mergePool(cl *cluster, p *pool, in object) (object, error) {
	merged := p.props.without()
	for _, key := range poolImmutable() {
		if in.has(key) && !same(in[key], merged[key]) {
			if a, b := in.text(key), merged.text(key); a != "" && strings.EqualFold(a, b) {
				continue
			}
			return nil, propertyChange("properties." + key)
		}
	}
	// A PUT replaces: labels, taints and tags that are not named are gone.
	for _, key := range []string{"nodeLabels", "nodeTaints", "tags", "minCount", "maxCount"} {
		delete(merged, key)
	}
	for key, value := range in.without(append(poolReadOnly(), "orchestratorVersion", "creationData")...) {
		if value != nil {
			merged[key] = value
		}
	}
	probe := *p
	probe.props = merged
	if err := checkPool(&probe); err != nil {
		return nil, err
	}
	if p.mode() == modeSystem && probe.mode() != modeSystem && cl.systemPools() == 1 {
		return nil, lastSystemPool()
	}
	return merged, nil
}

func (cl *cluster) systemPools() int {
	n := 0
	for _, p := range cl.pools {
		if p.mode() == modeSystem && p.state != stateDeleting {
			n++
		}
	}
	return n
}

func lastSystemPool() *Error {
	return badRequest("OperationNotAllowed", "There has to be at least one system agent pool.")
}

// checkPool refuses settings that no pool may have.
func checkPool(p *pool) error {
	if !slices.Contains([]string{modeSystem, modeUser, "Gateway"}, p.mode()) {
		return invalidParameter("agentPool.mode", "mode %q is not System, User or Gateway", p.mode())
	}
	count, ok := p.props.integer("count")
	if !ok || count < 0 || count > 1000 {
		return invalidParameter("agentPool.count", "count must be between 0 and 1000")
	}
	if count < 1 && p.mode() == modeSystem {
		return invalidParameter("agentPool.count", "a system agent pool must have at least 1 node")
	}
	if p.mode() == modeSystem && p.windows() {
		return invalidParameter("agentPool.osType", "a system agent pool must run Linux")
	}
	if p.props.flag("enableAutoScaling") {
		least, okMin := p.props.integer("minCount")
		most, okMax := p.props.integer("maxCount")
		switch {
		case !okMin || !okMax:
			return invalidParameter("agentPool.minCount", "minCount and maxCount are required when enableAutoScaling is true")
		case least > most:
			return invalidParameter("agentPool.minCount", "minCount %d must not be greater than maxCount %d", least, most)
		case least < 1 && p.mode() == modeSystem:
			return invalidParameter("agentPool.minCount", "minCount of a system agent pool must be at least 1")
		case count < least || count > most:
			return invalidParameter("agentPool.count", "count %d must be between minCount %d and maxCount %d", count, least, most)
		}
	} else if p.props.has("minCount") || p.props.has("maxCount") {
		return invalidParameter("agentPool.minCount", "minCount and maxCount may only be set when enableAutoScaling is true")
	}
	for _, text := range p.props.texts("nodeTaints") {
		if _, ok := parseTaint(text); !ok {
			return invalidParameter("agentPool.nodeTaints", "%q is not a taint of the form key=value:Effect", text)
		}
	}
	settings := p.props.object("upgradeSettings")
	surge, ok := amount(settings.text("maxSurge"), 100)
	if !ok {
		return invalidParameter("agentPool.upgradeSettings.maxSurge", "%q is neither a number nor a percentage", settings.text("maxSurge"))
	}
	unavailable, ok := amount(settings.text("maxUnavailable"), 100)
	if !ok {
		return invalidParameter("agentPool.upgradeSettings.maxUnavailable", "%q is neither a number nor a percentage", settings.text("maxUnavailable"))
	}
	if unavailable > 0 && p.mode() == modeSystem {
		return invalidParameter("agentPool.upgradeSettings.maxUnavailable", "maxUnavailable is not supported for system agent pools")
	}
	if surge == 0 && unavailable == 0 && settings.text("maxSurge") != "" {
		return invalidParameter("agentPool.upgradeSettings.maxSurge", "maxSurge and maxUnavailable must not both be 0")
	}
	if minutes, ok := settings.integer("drainTimeoutInMinutes"); ok && (minutes < 5 || minutes > 1440) {
		return invalidParameter("agentPool.upgradeSettings.drainTimeoutInMinutes", "%d is not between 5 and 1440", minutes)
	}
	if minutes, ok := settings.integer("nodeSoakDurationInMinutes"); ok && (minutes < 0 || minutes > 30) {
		return invalidParameter("agentPool.upgradeSettings.nodeSoakDurationInMinutes", "%d is not between 0 and 30", minutes)
	}
	if behaviour := settings.text("undrainableNodeBehavior"); behaviour != "" && !slices.Contains([]string{"Schedule", "Cordon"}, behaviour) {
		return invalidParameter("agentPool.upgradeSettings.undrainableNodeBehavior", "%q is not Schedule or Cordon", behaviour)
	}
	return nil
}

// plannedPool checks a pool that is to be created and returns its record. The
// caller holds c.mu.
func (c *Cloud) plannedPool(cl *cluster, name string, props object) (*pool, error) {
	if !poolName.MatchString(name) {
		return nil, invalidParameter("agentPool.name", "%q must start with a lower-case letter and hold at most 12 lower-case letters and digits", name)
	}
	if strings.EqualFold(props.text("osType"), "Windows") && len(name) > 6 {
		return nil, invalidParameter("agentPool.name", "%q: the name of a Windows agent pool may have at most 6 characters", name)
	}
	if size := props.text("vmSize"); size != "" {
		if _, ok := FindVMSize(size); !ok {
			return nil, badRequest("BadRequest", "The VM size of %s is not allowed in your subscription in location '%s'. The available VM sizes are '%s'. For more details, please visit https://aka.ms/cpu-quota", size, cl.location, strings.Join(VMSizeNames(), ","))
		}
	}
	p := c.newPool(name, props)
	if err := checkPool(p); err != nil {
		return nil, err
	}
	for _, zone := range p.props.texts("availabilityZones") {
		if !slices.Contains([]string{"1", "2", "3"}, zone) {
			return nil, badRequest("AvailabilityZoneNotSupported", "Preflight validation check for resource(s) for container service %s in resource group %s failed. Message: The zone(s) '%s' for resource '%s' is not supported.", cl.id.Name, cl.id.Group, zone, name)
		}
	}
	asked := props.text("orchestratorVersion")
	image := cl.region.latestImage(p.family())
	snap, err := c.sourceSnapshot(cl, p, props, asked)
	if err != nil {
		return nil, err
	}
	if snap != nil {
		image, p.snapshot = snap.image, snap.id.String()
		if asked == "" {
			asked = snap.version.String()
		}
	}
	if asked == "" {
		asked = cl.asked
		if v, err := ParseVersion(asked); err == nil && v.Patch >= 0 {
			asked = cl.version.String()
		}
	}
	version, err := c.poolVersion(cl, asked)
	if err != nil {
		return nil, err
	}
	p.asked, p.version, p.image = asked, version, image
	if err := c.room(cl, p, p.count(), true); err != nil {
		return nil, err
	}
	return p, nil
}

// poolVersion resolves and checks the version of a pool of the cluster.
func (c *Cloud) poolVersion(cl *cluster, asked string) (Version, error) {
	version, err := ParseVersion(asked)
	if err != nil {
		return Version{}, invalidParameter("agentpool.Properties.OrchestratorVersion", "%v", err)
	}
	if version.Patch < 0 {
		switch latest, ok := cl.region.latestPatch(version, cl.plan()); {
		case version.Minor == cl.version.Minor && version.Major == cl.version.Major:
			version = cl.version
		case ok:
			version = latest
		default:
			version.Patch = 0
		}
	}
	if err := skew(version, cl.version); err != nil {
		return Version{}, err
	}
	if offer, ok := cl.region.find(version); version != cl.version && (!ok || !offer.supported(cl.plan())) && !slices.ContainsFunc(cl.pools, func(p *pool) bool { return p.version == version }) {
		return Version{}, badRequest("AgentPoolK8sVersionNotSupported", "Version %s is not supported in this region. Please use [az aks get-versions] command to get the supported version list in this region. For more information, please check https://aka.ms/supported-version-list", version)
	}
	return version, nil
}

// PutPool creates or changes an agent pool.
func (c *Cloud) PutPool(ctx context.Context, id ClusterID, name string, body []byte, pre Preconditions) (Result, error) {
	in, err := decode(body)
	if err != nil {
		return Result{}, err
	}
	props := in.object("properties")
	budgets := c.poolGuards(ctx, id, name, props)
	c.mu.Lock()
	defer c.mu.Unlock()
	cl, err := c.find(id)
	if err != nil {
		return Result{}, err
	}
	p := cl.pool(name)
	etag := ""
	if p != nil {
		etag = p.etag
	}
	if err := pre.check(p != nil, etag); err != nil {
		return Result{}, err
	}
	if p == nil {
		return c.createPool(ctx, cl, name, props)
	}
	return c.changePool(ctx, cl, p, props, budgets)
}

func (c *Cloud) createPool(ctx context.Context, cl *cluster, name string, props object) (Result, error) {
	// A new pool changes the cluster's list of pools, which an operation on the
	// cluster itself is free to do as well.
	if err := cl.busy(&pool{}); err != nil {
		return Result{}, err
	}
	if err := cl.stopped("creating agent pool"); err != nil {
		return Result{}, err
	}
	if len(cl.pools) >= cl.maxPools() {
		return Result{}, badRequest("OperationNotAllowed", "The managed cluster %s has %d agent pools already; at most %d are allowed.", cl.id.Name, len(cl.pools), cl.maxPools())
	}
	p, err := c.plannedPool(cl, name, props)
	if err != nil {
		return Result{}, err
	}
	cl.pools = append(cl.pools, p)
	op := c.begin(ctx, "AgentPools_CreateOrUpdate", target{cluster: cl, pool: p}, stateCreating, func(ctx context.Context, op *Operation) error {
		if err := sleep(ctx, c.draw(c.pace.Overhead)); err != nil {
			return err
		}
		if err := c.scale(ctx, cl, p); err != nil {
			return err
		}
		return c.reach(ctx, op, "end")
	})
	return Result{Body: toJSON(p.render(cl.id)), Created: true, Operation: op}, nil
}

func (c *Cloud) changePool(ctx context.Context, cl *cluster, p *pool, props object, budgets []string) (Result, error) {
	if err := cl.busy(p); err != nil {
		return Result{}, err
	}
	if err := cl.stopped("updating agent pool"); err != nil {
		return Result{}, err
	}
	merged, err := c.mergePool(cl, p, props)
	if err != nil {
		return Result{}, err
	}
	g, snapshotID, err := c.planPool(cl, p, props)
	if err != nil {
		return Result{}, err
	}
	upgrade := g.version != p.version
	reimage := g.image != p.image
	if (upgrade || reimage) && !forced(cl.props, c.now()) {
		if err := unsatisfiableBudgets(budgets); err != nil {
			return Result{}, err
		}
	}
	before, after := p.count(), 0
	after, _ = merged.integer("count")
	if after > before {
		if err := c.room(cl, p, after-before, true); err != nil {
			return Result{}, err
		}
	}
	unchanged := same(merged, p.props) && !upgrade && !reimage && snapshotID == p.snapshot && g.asked == p.asked
	if unchanged && p.state == stateSucceeded {
		return Result{Body: toJSON(p.render(cl.id))}, nil
	}
	p.props, p.snapshot = merged, snapshotID
	p.setGoal(g)
	state := stateUpdating
	switch {
	case upgrade:
		state = stateUpgrading
	case reimage:
		state = stateUpgradingImage
	case after != before:
		state = stateScaling
	}
	op := c.begin(ctx, "AgentPools_CreateOrUpdate", target{cluster: cl, pool: p}, state, func(ctx context.Context, op *Operation) error {
		return c.reconcile(ctx, op, cl, p)
	})
	return Result{Body: toJSON(p.render(cl.id)), Operation: op}, nil
}

// planPool finds what a PUT of an existing pool takes its nodes to. The caller
// holds c.mu.
func (c *Cloud) planPool(cl *cluster, p *pool, props object) (g goal, snapshotID string, err error) {
	version, image := p.goal()
	g = goal{asked: p.asked, version: version, image: image}
	asked := props.text("orchestratorVersion")
	snap, err := c.sourceSnapshot(cl, p, props, asked)
	if err != nil {
		return g, "", err
	}
	if snap != nil && asked == "" {
		asked = snap.version.String()
	}
	if asked != "" && asked != p.asked && asked != version.String() {
		resolved, err := c.poolVersion(cl, asked)
		if err != nil {
			return g, "", err
		}
		if resolved.Less(p.version) {
			return g, "", badRequest("OperationNotAllowed", "Downgrading Kubernetes version of agent pool %s from %s to %s is not allowed.", p.name, p.version, resolved)
		}
		if resolved.Minor-p.version.Minor > 3 {
			return g, "", badRequest("OperationNotAllowed", "Upgrading Kubernetes version of agent pool %s from %s to %s is not allowed.", p.name, p.version, resolved)
		}
		g.asked = asked
		if resolved != version {
			g.version = resolved
			// An upgrade of the version takes the newest image along.
			g.image = cl.region.latestImage(p.family())
		}
	}
	if snap != nil {
		g.image, snapshotID = snap.image, snap.id.String()
	}
	switch want := props.text("nodeImageVersion"); {
	case want == "" || want == p.image || snap != nil:
	case want == cl.region.latestImage(p.family()):
		g.image = want
	default:
		return g, "", invalidParameter("agentPool.nodeImageVersion", "node image version %s is not allowed: only the current version %s, the latest version %s or one of recentlyUsedVersions can be specified", want, p.image, cl.region.latestImage(p.family()))
	}
	return g, snapshotID, nil
}

// poolGuards lists the budgets that would stop an upgrade of the pool, if the
// request looks like one.
func (c *Cloud) poolGuards(ctx context.Context, id ClusterID, name string, props object) []string {
	if c.budgets == nil {
		return nil
	}
	c.mu.Lock()
	cl, p, err := c.findPool(id, name)
	if err != nil || cl.power == powerStopped || cl.busy(p) != nil {
		c.mu.Unlock()
		return nil
	}
	g, _, err := c.planPool(cl, p, props)
	kube, drains := cl.kube, g.version != p.version || g.image != p.image
	c.mu.Unlock()
	if err != nil || !drains {
		return nil
	}
	return c.unsatisfiable(ctx, kube)
}

// UpgradeNodeImage takes a pool to the newest node image. The operation is nil
// where the pool has it already.
func (c *Cloud) UpgradeNodeImage(ctx context.Context, id ClusterID, name string) (Result, error) {
	var budgets []string
	if c.budgets != nil {
		c.mu.Lock()
		cl, _, err := c.findPool(id, name)
		c.mu.Unlock()
		if err == nil {
			budgets = c.unsatisfiable(ctx, cl.kube)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	cl, p, err := c.findPool(id, name)
	if err != nil {
		return Result{}, err
	}
	if err := cl.busy(p); err != nil {
		return Result{}, err
	}
	if err := cl.stopped("upgrading node image"); err != nil {
		return Result{}, err
	}
	version, _ := p.goal()
	latest := cl.region.latestImage(p.family())
	if latest == p.image && p.state == stateSucceeded {
		return Result{Body: toJSON(p.render(cl.id))}, nil
	}
	if !forced(cl.props, c.now()) {
		if err := unsatisfiableBudgets(budgets); err != nil {
			return Result{}, err
		}
	}
	p.snapshot = ""
	p.setGoal(goal{asked: p.asked, version: version, image: latest})
	op := c.begin(ctx, "AgentPools_UpgradeNodeImageVersion", target{cluster: cl, pool: p}, stateUpgradingImage, func(ctx context.Context, op *Operation) error {
		return c.reconcile(ctx, op, cl, p)
	})
	return Result{Body: toJSON(p.render(cl.id)), Operation: op}, nil
}

// DeletePool deletes an agent pool, draining its nodes first unless budgets are
// to be ignored. The operation is nil where there was no such pool.
func (c *Cloud) DeletePool(ctx context.Context, id ClusterID, name string, ignoreBudgets bool, pre Preconditions) (*Operation, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	cl, p, err := c.findPool(id, name)
	if err != nil {
		if cl == nil {
			return nil, err
		}
		return nil, pre.check(false, "")
	}
	if err := pre.check(true, p.etag); err != nil {
		return nil, err
	}
	if err := cl.busy(p); err != nil {
		return nil, err
	}
	if err := cl.stopped("deleting agent pool"); err != nil {
		return nil, err
	}
	if p.mode() == modeSystem && cl.systemPools() == 1 {
		return nil, lastSystemPool()
	}
	return c.begin(ctx, "AgentPools_Delete", target{cluster: cl, pool: p}, stateDeleting, func(ctx context.Context, op *Operation) error {
		return c.deletePool(ctx, op, cl, p, ignoreBudgets)
	}), nil
}

// AbortPool ends the operation that runs on a pool, where it stands.
func (c *Cloud) AbortPool(ctx context.Context, id ClusterID, name string) (*Operation, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	cl, p, err := c.findPool(id, name)
	if err != nil {
		return nil, err
	}
	if p.op == nil || p.op.aborting {
		return nil, notAllowed("There is no ongoing operation on the agent pool %s to abort: its provisioning state is %s.", p.name, p.state)
	}
	return c.abort(ctx, "AgentPools_AbortLatestOperation", target{cluster: cl, pool: p}, p.op), nil
}

// DeleteMachines removes named machines of a pool, which gets smaller by them.
func (c *Cloud) DeleteMachines(ctx context.Context, id ClusterID, name string, body []byte) (*Operation, error) {
	in, err := decode(body)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	cl, p, err := c.findPool(id, name)
	if err != nil {
		return nil, err
	}
	if err := cl.busy(p); err != nil {
		return nil, err
	}
	if err := cl.stopped("deleting machines"); err != nil {
		return nil, err
	}
	var doomed []*node
	for _, machine := range in.texts("machineNames") {
		i := slices.IndexFunc(p.nodes, func(n *node) bool { return n.name == machine })
		if i < 0 {
			return nil, &Error{Status: 404, Code: "NotFound", Message: "Could not find the machine \"" + machine + "\" in agent pool \"" + p.name + "\"."}
		}
		doomed = append(doomed, p.nodes[i])
	}
	quarantined := 0
	for _, n := range doomed {
		if n.quarantined {
			quarantined++
		}
	}
	if left := p.count() - len(doomed) + quarantined; left < 1 && p.mode() == modeSystem {
		return nil, invalidParameter("agentPool.count", "a system agent pool must have at least 1 node")
	}
	return c.begin(ctx, "AgentPools_DeleteMachines", target{cluster: cl, pool: p}, "DeletingMachines", func(ctx context.Context, op *Operation) error {
		if err := c.retire(ctx, op, cl, p, doomed); err != nil {
			return err
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		p.props["count"] = max(p.count()-len(doomed)+quarantined, 0)
		return nil
	}), nil
}
