package config

import (
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strings"

	"liftlock.dev/liftlock/internal/config/v1alpha1"
	"liftlock.dev/liftlock/internal/domain/fleet"
)

var errZone = errors.New("not an IANA name")

const custom = "Custom"

// cloud checks which cloud is meant.
func (c *checker) cloud(path string, v v1alpha1.Cloud) fleet.Cloud {
	endpoints := []struct{ name, value string }{
		{"resourceManager", v.ResourceManager},
		{"activeDirectory", v.ActiveDirectory},
		{"audience", v.Audience},
	}
	for _, e := range endpoints {
		at := field(path, e.name)
		switch {
		case v.Name == custom && !c.has(at) && e.name != "audience":
			c.bad(at, "is required for a Custom cloud and not given", "add "+e.name+": https://…")
		case v.Name != custom && c.sound(path, field(path, "name")) && c.has(at):
			c.bad(at, "is for a Custom cloud only", "write name: Custom, or remove it: the endpoints of "+v.Name+" are known")
		case c.has(at) && e.name != "audience":
			c.endpoint(at, e.value)
		}
	}
	if v.Audience == "" {
		v.Audience = v.ResourceManager
	}
	return fleet.Cloud{
		Name: v.Name, ResourceManager: v.ResourceManager, Audience: v.Audience, ActiveDirectory: v.ActiveDirectory,
		CAFile:            c.path(field(path, "caFile"), v.CAFile),
		InstanceDiscovery: v.InstanceDiscovery,
	}
}

// endpoint checks an address that tokens are sent to.
func (c *checker) endpoint(path, address string) {
	if !c.sound(path) {
		return
	}
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "":
		c.bad(path, "is not an address", "write https:// and a host, such as https://management.example")
	case u.Scheme == "http":
		c.bad(path, "is not encrypted", "write https://: tokens are sent there; a private authority can be trusted by caFile")
	case u.Scheme != "https":
		c.bad(path, "is not an address of HTTPS", "write https:// and a host, such as https://management.example")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		c.bad(path, "is more than an address", "write scheme, host and path alone")
	}
}

// identityKeys are the keys of an identity that each kind has a use for; those
// with an exclamation mark it needs.
var identityKeys = map[string][]string{
	"Default":          {"tenantID", "clientID", "tokenFile"},
	"WorkloadIdentity": {"tenantID", "clientID", "tokenFile"},
	"ManagedIdentity":  {"clientID"},
	"CLI":              {"tenantID"},
	"Certificate":      {"!tenantID", "!clientID", "!certificateFile"},
	"Secret":           {"!tenantID", "!clientID", "!secretFile"},
}

// identity checks as whom to act.
func (c *checker) identity(path string, v v1alpha1.Identity) fleet.Identity {
	if kind := field(path, "kind"); c.sound(path, kind) {
		useful := identityKeys[v.Kind]
		for f := range reflect.TypeFor[v1alpha1.Identity]().Fields() {
			key := rulesOf(f).name
			at := field(path, key)
			switch {
			case key == "kind":
			case slices.Contains(useful, "!"+key) && !c.has(at):
				c.bad(at, "is required for kind "+v.Kind+" and not given", "add it")
			case !slices.Contains(useful, "!"+key) && !slices.Contains(useful, key) && c.has(at):
				c.bad(at, "is of no use to kind "+v.Kind, "remove it, or choose the kind that it belongs to: "+strings.Join(kindsWith(key), ", "))
			}
		}
	}
	if t := v.TenantID; t != "" && !guid.MatchString(t) && !domain.MatchString(t) {
		c.bad(field(path, "tenantID"), "is neither the id nor a domain of a tenant", "write the id, of the form 00000000-0000-0000-0000-000000000000, or a domain such as contoso.onmicrosoft.com")
	}
	c.guid(field(path, "clientID"), v.ClientID, "an application")
	return fleet.Identity{
		Kind: v.Kind, TenantID: v.TenantID, ClientID: v.ClientID,
		TokenFile:       c.path(field(path, "tokenFile"), v.TokenFile),
		CertificateFile: c.path(field(path, "certificateFile"), v.CertificateFile),
		SecretFile:      c.path(field(path, "secretFile"), v.SecretFile),
	}
}

// kindsWith lists the kinds of identity that have a use for a key.
func kindsWith(key string) []string {
	var res []string
	for kind, keys := range identityKeys {
		if slices.Contains(keys, key) || slices.Contains(keys, "!"+key) {
			res = append(res, kind)
		}
	}
	slices.Sort(res)
	return res
}

// access checks how API servers are reached.
func (c *checker) access(path string, v v1alpha1.Access) fleet.Access {
	file, contexts := field(path, "file"), field(path, "contexts")
	if c.sound(path, field(path, "kind")) {
		for _, at := range []string{file, contexts} {
			switch {
			case v.Kind == "Kubeconfig" && !c.has(at):
				c.bad(at, "is required for kind Kubeconfig and not given", "add it: every cluster's context is named, the current one is never used")
			case v.Kind != "Kubeconfig" && c.has(at):
				c.bad(at, "is of no use to kind "+v.Kind, "write kind: Kubeconfig, or remove it")
			}
		}
	}
	for cluster, context := range v.Contexts {
		at := field(contexts, cluster)
		if strings.ContainsAny(cluster, "*?") || !clusterName.allows.MatchString(cluster) {
			c.bad(at, "is not the name of a cluster", "name each cluster in full: a context reaches just one")
		}
		if strings.ContainsAny(context, "*?") {
			c.bad(at, "is a pattern", "name the context in full")
		}
	}
	seen := map[string]string{}
	for _, cluster := range sortedKeys(v.Contexts) {
		context := v.Contexts[cluster]
		if other, twice := seen[context]; twice && context != "" {
			c.bad(field(contexts, cluster), "is the context of "+other+" already", "give every cluster its own: a context reaches just one")
			continue
		}
		seen[context] = cluster
	}
	return fleet.Access{Kind: v.Kind, File: c.path(file, v.File), Contexts: v.Contexts}
}

// sources checks where clusters are looked for.
func (c *checker) sources(path string, list []v1alpha1.Source) []fleet.Source {
	var res []fleet.Source
	for i, v := range list {
		at := item(path, i)
		c.guid(field(at, "subscription"), v.Subscription, "a subscription")
		c.patterns(field(at, "resourceGroups"), v.ResourceGroups, resourceGroup)
		c.patterns(field(at, "exclude"), v.Exclude, clusterName)
		c.tags(field(at, "tags"), v.Tags)
		s := fleet.Source{Subscription: strings.ToLower(v.Subscription), ResourceGroups: v.ResourceGroups, Tags: v.Tags, Exclude: v.Exclude}
		for j, other := range res {
			switch {
			case s.Subscription == "" || other.Subscription != s.Subscription:
				continue
			case reflect.DeepEqual(s, other):
				c.bad(at, "is the same source as "+item(path, j), "keep one of them")
			case len(other.ResourceGroups)+len(other.Tags)+len(other.Exclude) == 0:
				c.bad(at, "finds nothing new: "+item(path, j)+" takes the whole subscription", "narrow that one, or remove this one")
			case len(s.ResourceGroups)+len(s.Tags)+len(s.Exclude) == 0:
				c.bad(item(path, j), "finds nothing new: "+at+" takes the whole subscription", "narrow that one, or remove this one")
			}
		}
		if slices.Contains(s.Exclude, "*") {
			c.bad(field(at, "exclude"), "leaves out every cluster", "remove the source, or exclude fewer")
		}
		res = append(res, s)
	}
	return res
}

// sortedKeys returns the keys of a map in order.
func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// subscriptions checks those of a selector, which must be among the sources.
func (c *checker) subscriptions(path string, ids []string, sources []fleet.Source) []string {
	var res []string
	for i, id := range ids {
		at := item(path, i)
		c.guid(at, id, "a subscription")
		known := slices.ContainsFunc(sources, func(s fleet.Source) bool { return strings.EqualFold(s.Subscription, id) })
		if !known && guid.MatchString(id) {
			c.bad(at, "is not a subscription of spec.sources", fmt.Sprintf("add a source with subscription: %s, or remove it here", id))
		}
		res = append(res, strings.ToLower(id))
	}
	return res
}
