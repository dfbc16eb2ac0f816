package aks

import (
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// maxSnapshotAge is how old an image may be that a pool is still to be given.
const maxSnapshotAge = 90 * 24 * time.Hour

// snapshot is a node pool snapshot: the image and version of a pool at the time
// it was taken.
type snapshot struct {
	id      SnapshotID
	region  *Region
	tags    map[string]string
	source  string
	version Version
	image   string
	vmSize  string
	osType  string
	osSKU   string
	created time.Time
}

func (s *snapshot) render() object {
	o := object{
		"id": s.id.String(), "name": s.id.Name, "type": "Microsoft.ContainerService/Snapshots", "location": s.region.Name,
		"systemData": object{"createdAt": s.created.UTC().Format(time.RFC3339Nano), "createdByType": "Application"},
		"properties": object{
			"creationData": object{"sourceResourceId": s.source}, "snapshotType": "NodePool", "kubernetesVersion": s.version.String(),
			"nodeImageVersion": s.image, "vmSize": s.vmSize, "osType": s.osType, "osSku": s.osSKU, "enableFIPS": false,
		},
	}
	if len(s.tags) > 0 {
		o["tags"] = s.tags
	}
	return o
}

// Snapshots lists the snapshots of a subscription, or of one of its resource groups.
func (c *Cloud) Snapshots(subscription, group string) []json.RawMessage {
	c.mu.Lock()
	defer c.mu.Unlock()
	var found []*snapshot
	for _, s := range c.snapshots {
		if strings.EqualFold(s.id.Subscription, subscription) && (group == "" || strings.EqualFold(s.id.Group, group)) {
			found = append(found, s)
		}
	}
	slices.SortFunc(found, func(a, b *snapshot) int { return strings.Compare(a.id.Key(), b.id.Key()) })
	list := make([]json.RawMessage, 0, len(found))
	for _, s := range found {
		list = append(list, toJSON(s.render()))
	}
	return list
}

// Snapshot returns a snapshot.
func (c *Cloud) Snapshot(id SnapshotID) (json.RawMessage, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, ok := c.snapshots[id.Key()]
	if !ok {
		return nil, notFound("Microsoft.ContainerService/snapshots", id.Name, id.Group)
	}
	return toJSON(s.render()), nil
}

// PutSnapshot takes a snapshot of a pool, or changes the tags of one.
func (c *Cloud) PutSnapshot(id SnapshotID, body []byte) (Result, error) {
	in, err := decode(body)
	if err != nil {
		return Result{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	source := in.object("properties").object("creationData").text("sourceResourceId")
	if s, ok := c.snapshots[id.Key()]; ok {
		if source != "" && !strings.EqualFold(source, s.source) {
			return Result{}, propertyChange("properties.creationData.sourceResourceId")
		}
		s.tags = in.textMap("tags")
		return Result{Body: toJSON(s.render())}, nil
	}
	clusterID, poolName, ok := parsePoolID(source)
	if !ok {
		return Result{}, invalidParameter("properties.creationData.sourceResourceId", "%q is not the resource id of an agent pool", source)
	}
	cl, p, err := c.findPool(clusterID, poolName)
	if err != nil {
		return Result{}, err
	}
	if location := in.text("location"); !strings.EqualFold(strings.ReplaceAll(location, " ", ""), cl.location) {
		return Result{}, badRequest("InvalidParameter", "The snapshot's location %q must be that of its source agent pool, %q.", location, cl.location)
	}
	if p.op != nil || p.state != stateSucceeded {
		return Result{}, notAllowed("A snapshot can only be taken of an agent pool in provisioning state Succeeded; %s is %s.", p.name, p.state)
	}
	s := &snapshot{
		id: id, region: cl.region, tags: in.textMap("tags"), source: clusterID.pool(p.name), version: p.version, image: p.image,
		vmSize: p.props.text("vmSize"), osType: p.props.text("osType"), osSKU: p.props.text("osSKU"), created: c.now(),
	}
	c.snapshots[id.Key()] = s
	return Result{Body: toJSON(s.render()), Created: true}, nil
}

// DeleteSnapshot removes a snapshot and reports whether it was there.
func (c *Cloud) DeleteSnapshot(id SnapshotID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.snapshots[id.Key()]
	delete(c.snapshots, id.Key())
	return ok
}

// sourceSnapshot finds and checks the snapshot that a PUT of a pool names; nil
// where it names none, or the one the pool has already. The caller holds c.mu.
func (c *Cloud) sourceSnapshot(cl *cluster, p *pool, props object, asked string) (*snapshot, error) {
	source := props.object("creationData").text("sourceResourceId")
	if source == "" {
		return nil, nil //nolint:nilnil // no snapshot is the common case
	}
	s, ok := c.snapshots[strings.ToLower(source)]
	if !ok && strings.EqualFold(source, p.snapshot) {
		return nil, nil //nolint:nilnil // its snapshot is gone, its image stays
	}
	if !ok {
		name := source[strings.LastIndex(source, "/")+1:]
		return nil, &Error{Status: 404, Code: "NotFound", Message: "Could not find the snapshot \"" + name + "\" (" + source + ")."}
	}
	if s.region != cl.region {
		return nil, badRequest("InvalidParameter", "Snapshot %s is in location %s but the managed cluster is in %s. They must be in the same location.", s.id.Name, s.region.Name, cl.location)
	}
	size, _ := FindVMSize(s.vmSize)
	if own := p.size(); size.series() != own.series() || size.Architecture != own.Architecture || imageFamily(s.image) != p.family() {
		return nil, badRequest("InvalidParameter", "VM size %s of agent pool %s is not in the same VM family as VM size %s of snapshot %s, or its operating system differs: the node image %s cannot be used.", own.Name, p.name, size.Name, s.id.Name, s.image)
	}
	if age := c.now().Sub(s.imageDate()); age > maxSnapshotAge && s.image != p.image {
		return nil, badRequest("InvalidParameter", "Node image %s of snapshot %s is older than 90 days and can no longer be used.", s.image, s.id.Name)
	}
	if version, err := ParseVersion(asked); asked != "" && err == nil && version.Patch >= 0 && version != s.version && (p.version == Version{} || version != p.version) {
		return nil, badRequest("InvalidParameter", "OrchestratorVersion %s is not the Kubernetes version %s of snapshot %s.", asked, s.version, s.id.Name)
	}
	return s, nil
}

// imageDate is the date in the name of the snapshot's image, or when the
// snapshot was taken.
func (s *snapshot) imageDate() time.Time {
	date := s.image[strings.LastIndex(s.image, "-")+1:]
	if parts := strings.Split(date, "."); len(parts) == 3 {
		if parsed, err := time.Parse("200601.02", parts[0]+"."+parts[1]); err == nil && parsed.After(s.created.AddDate(-1, 0, 0)) {
			return parsed
		}
	}
	return s.created
}
