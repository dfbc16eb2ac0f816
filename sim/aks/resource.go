package aks

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strings"
	"time"
)

// The provisioning states that AKS shows.
const (
	stateSucceeded      = "Succeeded"
	stateFailed         = "Failed"
	stateCanceled       = "Canceled"
	stateCreating       = "Creating"
	stateUpdating       = "Updating"
	stateUpgrading      = "Upgrading"
	stateUpgradingImage = "UpgradingNodeImageVersion"
	stateScaling        = "Scaling"
	stateStarting       = "Starting"
	stateStopping       = "Stopping"
	stateDeleting       = "Deleting"
	stateCanceling      = "Canceling"

	powerRunning = "Running"
	powerStopped = "Stopped"

	modeSystem = "System"
	modeUser   = "User"
)

const clusterType = "Microsoft.ContainerService/managedClusters"

// cluster is a managed cluster. Its fields are guarded by Cloud.mu.
type cluster struct {
	id       ClusterID
	region   *Region
	location string
	top      object // identity, sku and whatever else stands beside properties
	props    object // properties as sent
	tags     map[string]string

	asked   string // kubernetesVersion as asked, perhaps an alias
	version Version
	goal    Version // what an unfinished upgrade aims at; zero for none
	etag    string
	state   string
	power   string
	failure *Error
	nodeRG  string
	uid     string
	created time.Time

	pools       []*pool
	maintenance map[string]object
	op          *Operation
	kube        Cluster
}

// pool is an agent pool. Its fields are guarded by Cloud.mu.
type pool struct {
	name     string
	props    object // properties as sent
	asked    string
	version  Version
	image    string
	etag     string
	state    string
	power    string
	failure  *Error
	nodes    []*node
	next     int // next instance id
	op       *Operation
	snapshot string // id of the snapshot whose image it is to have

	// What an upgrade aims at; an empty image means what the nodes run.
	goalVersion Version
	goalImage   string
	// labelled are the keys of the labels that its nodes were given.
	labelled []string
}

// node is one virtual machine of a pool.
type node struct {
	name        string
	instance    int
	zone        string
	version     Version
	image       string
	boots       int
	quarantined bool
}

func (c *cluster) pool(name string) *pool {
	i := slices.IndexFunc(c.pools, func(p *pool) bool { return strings.EqualFold(p.name, name) })
	if i < 0 {
		return nil
	}
	return c.pools[i]
}

func (c *cluster) plan() string {
	if plan := c.props.text("supportPlan"); plan != "" {
		return plan
	}
	return planOfficial
}

func (c *cluster) upgradeChannel() string {
	return strings.ToLower(c.props.object("autoUpgradeProfile").text("upgradeChannel"))
}

func (c *cluster) maxPools() int {
	if n, ok := c.props.integer("maxAgentPools"); ok {
		return n
	}
	return 100
}

// legacy clusters always take their pools with them when their control plane
// is upgraded.
func (c *cluster) legacy() bool {
	return c.maxPools() < 8 || slices.ContainsFunc(c.pools, func(p *pool) bool { return strings.EqualFold(p.props.text("type"), "AvailabilitySet") })
}

// forced reports whether the guards of an upgrade are overridden at the time now.
func forced(props object, now time.Time) bool {
	override := props.object("upgradeSettings").object("overrideSettings")
	until, err := time.Parse(time.RFC3339, override.text("until"))
	return err == nil && override.flag("forceUpgrade") && now.Before(until)
}

// hash8 is the number in the names of a cluster's scale sets.
func (c *cluster) hash8() string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(c.id.Key()))
	return fmt.Sprintf("%08d", 10_000_000+h.Sum32()%90_000_000)
}

func (c *cluster) fqdn() string {
	prefix := c.props.text("dnsPrefix")
	if prefix == "" {
		prefix = c.id.Name
	}
	return fmt.Sprintf("%s-%s.hcp.%s.azmk8s.io", prefix, c.hash8(), c.location)
}

// setDefaults fills in what AKS does where a cluster says nothing.
func (c *cluster) setDefaults() {
	setDefault(c.props, "enableRBAC", true)
	setDefault(c.props, "disableLocalAccounts", false)
	setDefault(c.props, "supportPlan", planOfficial)
	setDefault(c.props, "dnsPrefix", c.id.Name)
	setDefault(c.props, "autoUpgradeProfile", object{"nodeOSUpgradeChannel": "NodeImage"})
	setDefault(c.props, "networkProfile", object{"networkPlugin": "azure", "networkPluginMode": "overlay", "loadBalancerSku": "standard", "outboundType": "loadBalancer"})
	setDefault(c.top, "sku", object{"name": "Base", "tier": "Free"})
	setDefault(c.top, "identity", object{"type": "SystemAssigned"})
}

// render writes the cluster as AKS answers with it.
func (c *cluster) render() object {
	props := c.props.without("agentPoolProfiles", "kubernetesVersion")
	props["maxAgentPools"] = c.maxPools()
	props["provisioningState"] = c.state
	props["powerState"] = object{"code": c.power}
	props["kubernetesVersion"] = c.asked
	props["currentKubernetesVersion"] = c.version.String()
	props["nodeResourceGroup"] = c.nodeRG
	props["resourceUID"] = c.uid
	props["fqdn"] = c.fqdn()
	props["azurePortalFQDN"] = strings.Replace(c.fqdn(), ".hcp.", ".portal.hcp.", 1)
	if c.failure != nil {
		props["status"] = object{"provisioningError": object{"code": c.failure.Code, "message": c.failure.Message}}
	}
	profiles := make([]object, 0, len(c.pools))
	for _, p := range c.pools {
		profile := p.properties()
		profile["name"] = p.name
		profiles = append(profiles, profile)
	}
	props["agentPoolProfiles"] = profiles

	o := c.top.without("id", "name", "type", "properties", "tags", "eTag", "systemData")
	o["id"] = c.id.String()
	o["name"] = c.id.Name
	o["type"] = "Microsoft.ContainerService/ManagedClusters"
	o["location"] = c.location
	o["eTag"] = c.etag
	if len(c.tags) > 0 {
		o["tags"] = c.tags
	}
	o["properties"] = props
	return o
}

func (p *pool) count() int {
	n, _ := p.props.integer("count")
	return n
}

func (p *pool) mode() string {
	if strings.EqualFold(p.props.text("mode"), modeSystem) {
		return modeSystem
	}
	if mode := p.props.text("mode"); mode != "" {
		return mode
	}
	return modeUser
}

func (p *pool) windows() bool { return strings.EqualFold(p.props.text("osType"), "Windows") }

func (p *pool) size() VMSize {
	size, _ := FindVMSize(p.props.text("vmSize"))
	return size
}

func (p *pool) family() string { return ImageFamily(p.props.text("osSKU"), p.size().Architecture) }

func (p *pool) maxPods() int {
	n, _ := p.props.integer("maxPods")
	return n
}

// properties writes the pool's properties as AKS answers with them.
func (p *pool) properties() object {
	props := p.props.without("orchestratorVersion", "nodeImageVersion", "creationData")
	props["provisioningState"] = p.state
	props["powerState"] = object{"code": p.power}
	props["orchestratorVersion"] = p.asked
	props["currentOrchestratorVersion"] = p.version.String()
	props["nodeImageVersion"] = p.image
	props["eTag"] = p.etag
	if p.snapshot != "" {
		props["creationData"] = object{"sourceResourceId": p.snapshot}
	}
	if p.failure != nil {
		props["status"] = object{"provisioningError": object{"code": p.failure.Code, "message": p.failure.Message}}
	}
	return props
}

func (p *pool) render(id ClusterID) object {
	return object{
		"id": id.pool(p.name), "name": p.name, "type": clusterType + "/agentPools",
		"properties": p.properties(),
	}
}

// nodeName is the name of an instance: aks-apps-12345678-vmss00000a, or
// akswin00000a under Windows.
func (c *cluster) nodeName(p *pool, instance int) string {
	if p.windows() {
		return fmt.Sprintf("aks%s%s", p.name, base36(instance))
	}
	return fmt.Sprintf("aks-%s-%s-vmss%s", p.name, c.hash8(), base36(instance))
}

func base36(n int) string {
	const digits = "0123456789abcdefghijklmnopqrstuvwxyz"
	text := []byte("000000")
	for i := len(text) - 1; i >= 0 && n > 0; i-- {
		text[i] = digits[n%36]
		n /= 36
	}
	return string(text)
}

// spec is a node as the Kubernetes side is to boot it.
func (c *cluster) spec(p *pool, n *node) NodeSpec {
	size := p.size()
	scaleSet := fmt.Sprintf("aks-%s-%s-vmss", p.name, c.hash8())
	if p.windows() {
		scaleSet = "aks" + p.name
	}
	os := "linux"
	if p.windows() {
		os = "windows"
	}
	labels := map[string]string{
		"agentpool":                               p.name,
		"kubernetes.azure.com/agentpool":          p.name,
		"kubernetes.azure.com/cluster":            c.nodeRG,
		"kubernetes.azure.com/mode":               strings.ToLower(p.mode()),
		"kubernetes.azure.com/node-image-version": n.image,
		"kubernetes.azure.com/os-sku":             p.props.text("osSKU"),
		"kubernetes.azure.com/role":               "agent",
		"kubernetes.azure.com/storageprofile":     "managed",
		"kubernetes.azure.com/nodepool-type":      "VirtualMachineScaleSets",
		"node.kubernetes.io/instance-type":        size.Name,
		"beta.kubernetes.io/instance-type":        size.Name,
		"topology.kubernetes.io/region":           c.location,
		"topology.kubernetes.io/zone":             n.zone,
		"topology.disk.csi.azure.com/zone":        n.zone,
		"kubernetes.io/os":                        os,
		"kubernetes.io/arch":                      size.Architecture,
		"kubernetes.io/hostname":                  n.name,
	}
	maps.Copy(labels, p.props.textMap("nodeLabels"))
	if strings.EqualFold(p.props.text("scaleSetPriority"), "Spot") {
		labels["kubernetes.azure.com/scalesetpriority"] = "spot"
	}
	spec := NodeSpec{
		Name: n.name,
		ProviderID: fmt.Sprintf("azure:///subscriptions/%s/resourceGroups/%s/providers/Microsoft.Compute/virtualMachineScaleSets/%s/virtualMachines/%d",
			c.id.Subscription, strings.ToLower(c.nodeRG), scaleSet, n.instance),
		Version: n.version.String(), Image: n.image, OS: os, Architecture: size.Architecture,
		Zone: n.zone, Region: c.location, VMSize: size.Name,
		// What is left to pods after the kubelet's reservations, roughly.
		MilliCPU: int64(size.VCPUs)*1000 - 140, MemoryBytes: size.memoryBytes() * 7 / 8, MaxPods: int64(p.maxPods()),
		Labels: labels,
		BootID: fmt.Sprintf("%s-%s-%d", c.uid, n.name, n.boots),
		StartupTaints: []Taint{
			{Key: "node.cloudprovider.kubernetes.io/uninitialized", Value: "true", Effect: "NoSchedule"},
			{Key: "disk.csi.azure.com/agent-not-ready", Value: "value", Effect: "NoExecute"},
		},
	}
	for _, text := range p.props.texts("nodeTaints") {
		if taint, ok := parseTaint(text); ok {
			spec.Taints = append(spec.Taints, taint)
		}
	}
	for _, text := range p.props.texts("nodeInitializationTaints") {
		if taint, ok := parseTaint(text); ok {
			spec.Taints = append(spec.Taints, taint)
		}
	}
	return spec
}

// parseTaint reads "key=value:NoSchedule" or "key:NoSchedule".
func parseTaint(text string) (Taint, bool) {
	rest, effect, ok := strings.Cut(text, ":")
	key, value, _ := strings.Cut(rest, "=")
	if !ok || key == "" || !slices.Contains([]string{"NoSchedule", "PreferNoSchedule", "NoExecute"}, effect) {
		return Taint{}, false
	}
	return Taint{Key: key, Value: value, Effect: effect}, true
}

// newNode picks a name and the emptiest zone for one more node of the pool.
func (c *cluster) newNode(p *pool, version Version, image string) *node {
	n := &node{name: c.nodeName(p, p.next), instance: p.next, zone: "0", version: version, image: image}
	p.next++
	zones := p.props.texts("availabilityZones")
	fewest := -1
	for _, zone := range zones {
		full := c.location + "-" + zone
		in := 0
		for _, other := range p.nodes {
			if other.zone == full {
				in++
			}
		}
		if fewest < 0 || in < fewest {
			fewest, n.zone = in, full
		}
	}
	p.nodes = append(p.nodes, n)
	return n
}

func (p *pool) remove(n *node) {
	p.nodes = slices.DeleteFunc(p.nodes, func(other *node) bool { return other == n })
}

func setDefault(o object, key string, value any) {
	if !o.has(key) {
		o[key] = value
	}
}

// toJSON renders a resource; objects built from decoded JSON always encode.
func toJSON(o object) json.RawMessage {
	text, err := json.Marshal(o)
	if err != nil {
		return json.RawMessage(`{}`)
	}
	return text
}
