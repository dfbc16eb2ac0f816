package aks

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// MaintenanceConfigurations lists a cluster's planned maintenance.
func (c *Cloud) MaintenanceConfigurations(id ClusterID) ([]json.RawMessage, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	cl, err := c.find(id)
	if err != nil {
		return nil, err
	}
	list := make([]json.RawMessage, 0, len(cl.maintenance))
	for _, name := range slices.Sorted(maps.Keys(cl.maintenance)) {
		list = append(list, toJSON(cl.maintenance[name]))
	}
	return list, nil
}

// MaintenanceConfiguration returns one of a cluster's maintenance configurations.
func (c *Cloud) MaintenanceConfiguration(id ClusterID, name string) (json.RawMessage, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	cl, err := c.find(id)
	if err != nil {
		return nil, err
	}
	o, ok := cl.maintenance[strings.ToLower(name)]
	if !ok {
		return nil, notFound(clusterType+"/maintenanceConfigurations", id.Name+"/"+name, id.Group)
	}
	return toJSON(o), nil
}

// PutMaintenanceConfiguration creates or replaces a maintenance configuration.
func (c *Cloud) PutMaintenanceConfiguration(id ClusterID, name string, body []byte) (Result, error) {
	in, err := decode(body)
	if err != nil {
		return Result{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	cl, err := c.find(id)
	if err != nil {
		return Result{}, err
	}
	known := []string{"default", "aksManagedAutoUpgradeSchedule", "aksManagedNodeOSUpgradeSchedule"}
	i := slices.IndexFunc(known, func(k string) bool { return strings.EqualFold(k, name) })
	if i < 0 {
		return Result{}, invalidParameter("configName", "%q is not one of %s", name, strings.Join(known, ", "))
	}
	window := in.object("properties").object("maintenanceWindow")
	if i > 0 {
		if hours, ok := window.integer("durationHours"); !ok || hours < 4 || hours > 24 {
			return Result{}, invalidParameter("maintenanceWindow.durationHours", "it must be between 4 and 24")
		}
		if len(window.object("schedule")) != 1 {
			return Result{}, invalidParameter("maintenanceWindow.schedule", "exactly one of daily, weekly, absoluteMonthly and relativeMonthly must be set")
		}
	}
	_, existed := cl.maintenance[strings.ToLower(known[i])]
	o := object{
		"id": id.String() + "/maintenanceConfigurations/" + known[i], "name": known[i], "type": clusterType + "/maintenanceConfigurations",
		"properties": in.object("properties"),
	}
	cl.maintenance[strings.ToLower(known[i])] = o
	return Result{Body: toJSON(o), Created: !existed}, nil
}

// DeleteMaintenanceConfiguration removes a maintenance configuration and
// reports whether it was there.
func (c *Cloud) DeleteMaintenanceConfiguration(id ClusterID, name string) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	cl, err := c.find(id)
	if err != nil {
		return false, err
	}
	_, ok := cl.maintenance[strings.ToLower(name)]
	delete(cl.maintenance, strings.ToLower(name))
	return ok, nil
}
