package aks

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// clusterPlan is what a PUT of an existing cluster asks for, once it was found
// to be allowed.
type clusterPlan struct {
	asked     string
	version   Version
	goals     map[*pool]goal
	poolProps []object // by index of the cluster's pools; nil where unchanged
	changed   bool
}

const unchangedMessage = "Using managed cluster api, all Agent pools' OrchestratorVersion must be all specified or all unspecified. If all specified, they must be stay unchanged or the same with control plane. For agent pool specific change, please use per agent pool operations: https://aka.ms/agent-pool-rest-api"

func poolVersionsMixed() *Error {
	return badRequest("NotAllAgentPoolOrchestratorVersionSpecifiedAndUnchanged", unchangedMessage)
}

// planCluster applies the upgrade rules. The caller holds c.mu.
func (c *Cloud) planCluster(cl *cluster, props object) (clusterPlan, error) {
	plan := clusterPlan{asked: cl.asked, version: cl.version, goals: map[*pool]goal{}, poolProps: make([]object, len(cl.pools))}
	asked := props.text("kubernetesVersion")
	switch {
	case cl.goal != (Version{}) && (asked == "" || asked == cl.asked):
		// Any PUT resumes what was left unfinished.
		plan.version, plan.changed = cl.goal, true
	case asked == cl.version.String() && cl.goal != (Version{}):
		plan.asked, plan.changed = asked, true
	case asked != "" && asked != cl.asked && asked != cl.version.String():
		version, err := cl.upgradeTo(asked)
		if err != nil {
			return plan, err
		}
		plan.asked, plan.version, plan.changed = asked, version, true
	}
	upgrade := plan.version != cl.version

	unspecified, moved := 0, 0
	profiles, given := props["agentPoolProfiles"].([]any)
	if given {
		named := map[*pool]object{}
		for _, item := range profiles {
			profile, ok := item.(map[string]any)
			if !ok {
				return plan, invalidParameter("agentPoolProfiles", "an agent pool profile must be an object")
			}
			p := cl.pool(object(profile).text("name"))
			if p == nil {
				return plan, invalidParameter("agentPoolProfiles", "agent pool %q does not exist; add agent pools to an existing managed cluster with the agent pool api", object(profile).text("name"))
			}
			named[p] = profile
		}
		for i, p := range cl.pools {
			profile, ok := named[p]
			if !ok {
				return plan, invalidParameter("agentPoolProfiles", "agent pool %q is missing; delete agent pools with the agent pool api", p.name)
			}
			merged, err := c.mergePool(cl, p, profile)
			if err != nil {
				return plan, err
			}
			if !same(merged, p.props) {
				plan.poolProps[i], plan.changed = merged, true
			}
			switch version := profile.text("orchestratorVersion"); version {
			case "":
				unspecified++
			case p.asked, p.version.String():
			case plan.asked, plan.version.String():
				moved++
				plan.goals[p] = goal{asked: version, version: plan.version}
			default:
				return plan, poolVersionsMixed()
			}
		}
		if unspecified > 0 && unspecified < len(cl.pools) {
			return plan, poolVersionsMixed()
		}
	} else {
		unspecified = len(cl.pools)
	}

	full := upgrade && (cl.legacy() || len(cl.pools) > 0 && unspecified == len(cl.pools))
	if full {
		for _, p := range cl.pools {
			if p.version != plan.version {
				plan.goals[p] = goal{asked: plan.asked, version: plan.version}
			}
		}
	} else if upgrade && moved < len(cl.pools) {
		if channel := cl.upgradeChannel(); channel != "" && channel != "none" {
			return plan, poolVersionsMixed()
		}
		if !cl.region.supports(cl.version, cl.plan()) {
			return plan, badRequest("OperationNotAllowed", "Control plane only upgrade is not allowed for managed cluster %s: its version %s is no longer supported. Upgrade the control plane together with all agent pools. See https://aka.ms/aks-supported-k8s-ver", cl.id.Name, cl.version)
		}
	}
	for _, p := range cl.pools {
		version := p.version
		if g, ok := plan.goals[p]; ok {
			version = g.version
		}
		if err := skew(version, plan.version); err != nil {
			return plan, err
		}
	}
	for p, g := range plan.goals {
		g.image = cl.region.latestImage(p.family())
		plan.goals[p] = g
		plan.changed = true
	}
	return plan, nil
}

// upgradeTo resolves the version that a cluster is asked to go to.
func (cl *cluster) upgradeTo(asked string) (Version, error) {
	version, err := ParseVersion(asked)
	if err != nil {
		return Version{}, invalidParameter("kubernetesVersion", "%v", err)
	}
	if version.Patch < 0 {
		resolved, ok := cl.region.latestPatch(version, cl.plan())
		if !ok {
			return Version{}, cl.notSupported(version)
		}
		version = resolved
		if version == cl.version {
			return version, nil
		}
	}
	offers := cl.region.upgrades(cl.version, cl.plan())
	texts := make([]string, 0, len(offers))
	for _, offer := range offers {
		if offer.Version == version {
			return version, nil
		}
		texts = append(texts, offer.String())
	}
	available := "[" + strings.Join(texts, " ") + "]"
	if version.Less(cl.version) {
		return Version{}, badRequest("OperationNotAllowed", "Downgrading Kubernetes version %s to %s is not allowed. Available upgrades: %s. Please see https://aka.ms/aks-supported-k8s-ver for version details.", cl.version, version, available)
	}
	if offer, ok := cl.region.find(version); !ok || !offer.supported(cl.plan()) {
		return Version{}, cl.notSupported(version)
	}
	return Version{}, badRequest("OperationNotAllowed", "Upgrading Kubernetes version %s to %s is not allowed. Available upgrades: %s. Please see https://aka.ms/aks-supported-k8s-ver for version details.", cl.version, version, available)
}

func (cl *cluster) notSupported(version Version) *Error {
	if offer, ok := cl.region.find(version); ok && offer.LongTermOnly {
		return badRequest("K8sVersionNotSupported", "Managed cluster %s is on version %s, which is only available for Long-Term Support (LTS). If you intend to onboard to LTS, please ensure the cluster is in Premium tier and LTS support plan. Otherwise, use [az aks get-versions] command to get the supported version list in this region.", cl.id.Name, version)
	}
	return badRequest("K8sVersionNotSupported", "Managed cluster %s is on version %s which is not supported in this region. Please use [az aks get-versions] command to get the supported version list in this region. For more information, please check https://aka.ms/supported-version-list", cl.id.Name, version)
}

// skew refuses pools newer than, or more than three minors older than, their
// control plane.
func skew(pool, controlPlane Version) error {
	switch {
	case controlPlane.Minor < pool.Minor:
		return badRequest("NodePoolMcVersionIncompatible", "Node pool version %s and control plane version %s are incompatible. Minor version of node pool version %d is bigger than control plane version %d. For more information, please check https://aka.ms/version-skew-policy", pool, controlPlane, pool.Minor, controlPlane.Minor)
	case controlPlane.Less(pool):
		return badRequest("NodePoolMcVersionIncompatible", "Node pool version %s and control plane version %s are incompatible. Patch version of node pool version %d is bigger than control plane version %d. For more information, please check https://aka.ms/version-skew-policy", pool, controlPlane, pool.Patch, controlPlane.Patch)
	case controlPlane.Minor-pool.Minor > 3:
		return badRequest("NodePoolMcVersionIncompatible", "Node pool version %s and control plane version %s are incompatible. Minor version of node pool cannot be more than 3 versions less than control plane's version. For more information, please check https://aka.ms/version-skew-policy", pool, controlPlane)
	}
	return nil
}

// guards are what had to be asked of a cluster's API server before an upgrade.
type guards struct {
	deprecated []string // removed APIs in use
	budgets    []string // budgets that never allow an eviction
}

// guards asks the API server what the checks before an upgrade need, if the
// request looks like one. A server that does not answer blocks nothing.
func (c *Cloud) guards(ctx context.Context, id ClusterID, in object) guards {
	c.mu.Lock()
	cl, err := c.find(id)
	if err != nil || cl.kube == nil || cl.op != nil || cl.power == powerStopped {
		c.mu.Unlock()
		return guards{} // what is wrong with the cluster is said by the request proper
	}
	kube, current := cl.kube, cl.version
	c.mu.Unlock()
	target, err := ParseVersion(in.object("properties").text("kubernetesVersion"))
	if err != nil || target.Minor <= current.Minor {
		return guards{} // no upgrade to another minor, or a version that the request proper refuses
	}
	used, err := kube.DeprecatedAPIUse(ctx, target.MinorString())
	if err != nil {
		c.log.WarnContext(ctx, "asking for the use of removed APIs", "cluster", id.Name, "error", err)
	}
	return guards{deprecated: used, budgets: c.unsatisfiable(ctx, kube)}
}

// unsatisfiable lists the cluster's budgets that never allow an eviction.
func (c *Cloud) unsatisfiable(ctx context.Context, kube Cluster) []string {
	if c.budgets == nil || kube == nil {
		return nil
	}
	kubeconfig, err := kube.Kubeconfig(ctx)
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	found, err := c.budgets(ctx, kubeconfig)
	if err != nil {
		c.log.WarnContext(ctx, "asking for disruption budgets", "error", err)
	}
	return found
}

func (g guards) check(cl *cluster, props object, plan clusterPlan, now time.Time) error {
	if forced(props, now) || forced(cl.props, now) {
		return nil
	}
	if len(g.deprecated) > 0 {
		e := badRequest("ValidationError", "Control Plane upgrade is blocked due to recent usage of a Kubernetes API deprecated in the specified version. Please refer to https://kubernetes.io/docs/reference/using-api/deprecation-guide to migrate the usage. To bypass this error, set forceUpgrade in upgradeSettings.overrideSettings. Bypassing this error without migrating usage will result in the deprecated Kubernetes API calls failing. Usage details: 1 error occurred:\n\t* usage has been detected on API %s, and was recently seen at: %s, which will be removed in %s\n\n", strings.Join(g.deprecated, ", "), now.UTC().Format("2006-01-02 15:04:05 -0700 MST"), plan.version.MinorString())
		e.Subcode = "UpgradeBlockedOnDeprecatedAPIUsage"
		return e
	}
	if len(plan.goals) > 0 {
		return unsatisfiableBudgets(g.budgets)
	}
	return nil
}

// unsatisfiableBudgets refuses an upgrade of pools because of budgets anywhere
// in the cluster.
func unsatisfiableBudgets(budgets []string) error {
	if len(budgets) == 0 {
		return nil
	}
	lines := fmt.Sprintf("%d errors occurred:", len(budgets))
	if len(budgets) == 1 {
		lines = "1 error occurred:"
	}
	for _, budget := range budgets {
		lines += "\n\t* " + budget + " can't proceed with put operation"
	}
	return badRequest("UnsatisfiablePDB", "Upgrade is blocked due to invalid Pod Disruption Budgets (PDBs). Please review the PDB spec to allow disruptions during upgrades. To bypass this error, set forceUpgrade in upgradeSettings.overrideSettings. Bypassing this error without updating the PDB may result in drain failures during upgrade process. Invalid PDBs details: %s\n\n", lines)
}
