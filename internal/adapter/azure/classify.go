package azure

import (
	"net/http"
	"regexp"
	"slices"

	"liftlock.dev/liftlock/internal/rollout"
)

// rule says what a refusal means. All conditions that it gives must hold.
type rule struct {
	codes    []string       // one of these is among the refusal's codes
	statuses []int          // the HTTP status is one of these
	says     *regexp.Regexp // the message matches
	call     bool           // only for a call that was turned down, not for an operation that ended
	ended    bool           // only for an operation that ended

	code   rollout.Code
	remedy string
}

func (u *rule) meets(r *refusal) bool {
	return (len(u.codes) == 0 || r.has(u.codes...)) &&
		(len(u.statuses) == 0 || slices.Contains(u.statuses, r.status)) &&
		(u.says == nil || u.says.MatchString(r.message)) &&
		(!u.call || !r.ended) && (!u.ended || r.ended)
}

func says(pattern string) *regexp.Regexp { return regexp.MustCompile(`(?is)` + pattern) }

// Remedies that several rules share.
const (
	remedyBusy      = "wait for the other operation to end; it will be tried again"
	remedyQuota     = "raise the quota in the Azure portal under Quotas, or free machines or addresses of that family, then retry"
	remedyCapacity  = "the region has no such machines now: retry later, or choose another VM size or zone"
	remedyAddresses = "enlarge the subnet, use another one, or lower maxSurge or the pool's size, then retry"
	remedyDrain     = "relax the budget or add replicas of the pods that it names, then retry; blueGreen and buffer do not drain this way"
	remedyRights    = "give the identity the missing role on the scope that the message names, then retry"
	remedyRetry     = "look at the cluster's activity log for the cause, then retry: the provider resumes where it stopped"
	remedyNetwork   = "the nodes must reach the API server and the endpoints that AKS requires: check firewall, route table and DNS, then retry"
)

// rules are tried in order; the first that meets decides. Precise causes come
// before the wrappers that they are found in (a failed upgrade whose message
// quotes a quota is a matter of quota), statuses last.
var rules = []rule{
	// Limits of the calls themselves.
	{statuses: []int{http.StatusTooManyRequests}, code: rollout.CodeThrottled, remedy: "it will be tried again when the service allows; fewer clusters at once spare its budget"},
	{statuses: []int{http.StatusPreconditionFailed}, code: rollout.CodeChanged, remedy: "it will be looked at again"},
	{codes: []string{"EtagMismatch", "PreconditionFailed"}, call: true, code: rollout.CodeChanged, remedy: "it will be looked at again"},

	// Causes that are named precisely, wherever they are found.
	{codes: []string{"UpgradeBlockedOnDeprecatedAPIUsage"}, code: rollout.CodeDeprecatedAPI, remedy: "move the clients of the API that it names; AKS forgets a use after 12 hours"},
	{
		codes: []string{"NotAllAgentPoolOrchestratorVersionSpecifiedAndUnchanged"}, code: rollout.CodeControlPlaneAloneRefused,
		remedy: "AKS upgrades this control plane only together with its pools: switch the cluster's upgrade channel off, or upgrade it as a whole",
	},
	{says: says(`control[- ]plane[- ]only upgrade .{0,40}not (allowed|supported)`), code: rollout.CodeControlPlaneAloneRefused, remedy: "AKS leaves this version only together with all pools: upgrade the cluster as a whole"},
	{codes: []string{"SubnetIsFull", "InsufficientSubnetSize", "SubnetIPsExhausted"}, code: rollout.CodeAddresses, remedy: remedyAddresses},
	{says: says(`enough capacity for .*IP addresses|insufficient (free )?IP addresses|not enough IP addresses`), code: rollout.CodeAddresses, remedy: remedyAddresses},
	{codes: []string{"InvalidLoadBalancerProfileAllocatedOutboundPorts"}, code: rollout.CodeAddresses, remedy: "give the load balancer more outbound addresses or fewer ports per node; surge nodes count too"},
	{
		codes: []string{"QuotaExceeded", "PublicIPCountLimitReached", "InsufficientVCPUQuota", "ErrCode_InsufficientVCPUQuota", "InsufficientQuota", "ResourceQuotaExceeded", "CoresQuotaExceeded"},
		code:  rollout.CodeQuota, remedy: remedyQuota,
	},
	{says: says(`exceed\w* (the )?(approved|current|regional|subscription).{0,80}quota|quota .{0,40}exceeded|insufficient .{0,20}vcpu quota`), code: rollout.CodeQuota, remedy: remedyQuota},
	{
		codes: []string{
			"AKSCapacityError", "AksCapacityHeavyUsage", "AllocationFailed", "ZonalAllocationFailed", "OverconstrainedAllocationRequest",
			"OverconstrainedZonalAllocationRequest", "SkuNotAvailable", "CapacityReservationExceeded", "SpotEvicted",
		},
		code: rollout.CodeCapacity, remedy: remedyCapacity,
	},
	{codes: []string{"UnsatisfiablePDB", "PodDrainFailure", "UndrainableNode"}, code: rollout.CodeDrainFailed, remedy: remedyDrain},
	{says: says(`\bdrain(ing)?\b.{0,200}\b(fail|evict|timed? ?out|too many requests)|blocked by pdb|PDB debug info|poddisruptionbudget`), code: rollout.CodeDrainFailed, remedy: remedyDrain},
	{codes: []string{"NodePoolMcVersionIncompatible", "AgentPoolUpgradeVersionNotAllowed"}, code: rollout.CodeSkew, remedy: "pools may be at most three minors behind their control plane and never ahead of it: upgrade the other side first"},
	{says: says(`downgrad\w+|(cannot|can't|must not) be (more than|greater than|newer than).{0,80}control plane|control plane version .{0,80}incompatible|incompatible.{0,80}control plane`), code: rollout.CodeSkew, remedy: "Kubernetes versions never go back, and pools never pass their control plane: look at the versions again"},
	{codes: []string{"K8sVersionNotSupported", "AgentPoolK8sVersionNotSupported", "UnsupportedKubernetesVersion"}, code: rollout.CodeNotOffered, remedy: "choose a version that the region offers, or wait until it does"},
	{says: says(`upgrading kubernetes version .{0,120}is not allowed|available upgrades:|version \S+ is not supported in (this|the) region|kubernetes version .{0,60}(not supported|not available|unsupported)`), code: rollout.CodeNotOffered, remedy: "choose a version that is offered to this cluster; one minor at a time"},
	{
		says: says(`(could not find|cannot find) the snapshot|snapshot .{0,200}(not found|does not exist|older than|no longer|cannot be used|not supported)|same VM (family|series)|not the kubernetes version .{0,40}of snapshot`),
		code: rollout.CodeNotOffered, remedy: "AKS gives a snapshot's node image only to pools of the same VM family and version, and for 90 days: prove the newest image anew",
	},

	// What people have forbidden.
	{codes: []string{"ScopeLocked"}, code: rollout.CodeLocked, remedy: "remove the management lock for the time of the rollout, or leave the cluster out"},
	{codes: []string{"RequestDisallowedByPolicy", "PolicyViolation", "RequestDisallowedByAzure"}, code: rollout.CodeLocked, remedy: "let the owner of the Azure Policy that it names exempt the resource, or change what it forbids"},
	{codes: []string{"DenyAssignmentAuthorizationFailed"}, code: rollout.CodeLocked, remedy: "a deny assignment forbids it (managed application or blueprint): let its owner change it"},
	{codes: []string{"ReadOnlyDisabledSubscription", "SubscriptionNotRegisteredOrDisabled", "DisabledSubscription"}, code: rollout.CodeLocked, remedy: "the subscription is disabled: let its owner enable it again"},

	// Who asks.
	{
		codes: []string{"AuthorizationFailed", "LinkedAuthorizationFailed", "AuthorizationPermissionMismatch", "Forbidden", "AADTokenPermissionDenied", "PermissionDenied"},
		code:  rollout.CodeUnauthorized, remedy: remedyRights,
	},
	{codes: []string{"InvalidAuthenticationToken", "ExpiredAuthenticationToken", "InvalidAuthenticationTokenTenant", "AuthenticationFailed", "InvalidAuthenticationInfo"}, code: rollout.CodeUnauthorized, remedy: "sign in again, or check that the identity belongs to the subscription's tenant and cloud"},
	{codes: []string{"SubscriptionNotFound", "InvalidSubscriptionId"}, code: rollout.CodeUnauthorized, remedy: "check the subscription's id, and that the identity has a role in it and belongs to its tenant"},
	{codes: []string{"ServicePrincipalValidationClientError", "ServicePrincipalNotFound", "InvalidClientSecret", "ReconcileMSICredentialsFailed"}, ended: true, code: rollout.CodeFailed, remedy: "the cluster's own service principal has expired or is gone: renew it (az aks update-credentials), then retry"},
	{statuses: []int{http.StatusUnauthorized}, code: rollout.CodeUnauthorized, remedy: "sign in again, or check that the identity belongs to the subscription's tenant and cloud"},
	{statuses: []int{http.StatusForbidden}, code: rollout.CodeUnauthorized, remedy: remedyRights},

	// The state of things.
	{says: says(`\b(is|are|has been|currently) (in )?\W?stopped|in (a |the )?\W?stopped\W? (power )?state|power ?state.{0,30}stopped|start the cluster|cluster is not running`), call: true, code: rollout.CodeStopped, remedy: "start the cluster, then retry"},
	{codes: []string{"AKSOperationPreemptedByDelete", "OperationPreemptedByDelete"}, ended: true, code: rollout.CodeFailed, remedy: "somebody deletes it: look whether it still exists"},
	{codes: []string{"AKSOperationPreempted", "OperationPreempted"}, ended: true, code: rollout.CodeFailed, remedy: "another operation took its place: wait for that one, then retry"},
	{says: says(`in progress|aks-pending-operation|another operation|being (deleted|updated|created)|is (currently )?(upgrading|updating|creating|deleting|scaling|starting|stopping|canceling)`), statuses: []int{http.StatusConflict, http.StatusBadRequest}, code: rollout.CodeBusy, remedy: remedyBusy},
	{codes: []string{"AnotherOperationInProgress", "AKSOperationPreempted", "AKSOperationPreemptedByDelete", "OperationPreempted", "OperationPreemptedByDelete", "AksPendingOperation", "ConcurrentOperation"}, call: true, code: rollout.CodeBusy, remedy: remedyBusy},
	{statuses: []int{http.StatusNotFound, http.StatusGone}, code: rollout.CodeNotFound, remedy: "check that it still exists and that its name is right"},
	{codes: []string{"MissingSubscriptionRegistration"}, code: rollout.CodeInvalid, remedy: "register the resource provider Microsoft.ContainerService in the subscription"},
	{codes: []string{"OperationNotAllowed", "Conflict"}, statuses: []int{http.StatusConflict}, code: rollout.CodeBusy, remedy: remedyBusy},

	// Operations that ended for reasons of their own.
	{
		codes: []string{
			"VMExtensionError_OutboundConnFail", "VMExtensionError_K8SAPIServerConnFail", "VMExtensionError_K8SAPIServerDNSLookupFail",
			"VMExtensionProvisioningTimeout", "VMExtensionProvisioningError", "K8SAPIServerConnFailVMExtensionError", "OutboundConnFailVMExtensionError", "K8SAPIServerDNSLookupFailVMExtensionError",
		},
		ended: true, code: rollout.CodeFailed, remedy: remedyNetwork,
	},
	{codes: []string{"status.Canceled", "status.Cancelled"}, ended: true, code: rollout.CodeFailed, remedy: "somebody aborted it; nothing is rolled back: retry to resume it"},
	{ended: true, code: rollout.CodeFailed, remedy: remedyRetry},

	// The service itself.
	{statuses: []int{http.StatusRequestTimeout}, code: rollout.CodeUnavailable, remedy: "it will be tried again"},
}

// classify says what a refusal means and what to do about it.
func classify(r *refusal) (code rollout.Code, remedy string) {
	for i := range rules {
		if rules[i].meets(r) {
			return rules[i].code, rules[i].remedy
		}
	}
	if r.status >= http.StatusInternalServerError {
		return rollout.CodeUnavailable, "the service has trouble of its own; it will be tried again"
	}
	return rollout.CodeInvalid, "the request itself was refused: correct what the message names"
}
