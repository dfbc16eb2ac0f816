package kube

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	kjson "sigs.k8s.io/json"

	"liftlock.dev/liftlock/internal/domain/check"
	"liftlock.dev/liftlock/internal/domain/fleet"
)

// fileFacts are what checks take from a file beyond a snapshot.
type fileFacts struct {
	objects   []fleet.Object
	headless  int // objects whose metadata could not be read
	webhooks  []check.Webhook
	services  map[string]bool
	endpoints map[string][]fleet.Endpoint
	apis      []check.APIService
	quotas    []check.Quota
	attach    []check.AttachLimit
	stored    []Stored
}

// add takes in those of a batch.
func (f *fileFacts) add(b *fileFacts) {
	f.objects = append(f.objects, b.objects...)
	f.headless += b.headless
	f.webhooks = append(f.webhooks, b.webhooks...)
	f.apis = append(f.apis, b.apis...)
	f.quotas = append(f.quotas, b.quotas...)
	f.attach = append(f.attach, b.attach...)
	f.stored = append(f.stored, b.stored...)
	if f.services == nil {
		f.services, f.endpoints = map[string]bool{}, map[string][]fleet.Endpoint{}
	}
	for key := range b.services {
		f.services[key] = true
	}
	for key, list := range b.endpoints {
		f.endpoints[key] = append(f.endpoints[key], list...)
	}
}

// factKinds are the kinds that only checks take in.
var factKinds = map[[2]string]func(*harvest, []byte) (any, error){
	{"admissionregistration.k8s.io", "ValidatingWebhookConfiguration"}: taking(func(h *harvest, w *admissionv1.ValidatingWebhookConfiguration) error {
		h.named("", &w.ObjectMeta)
		h.facts.webhooks = append(h.facts.webhooks, validatingWebhooks(w)...)
		return nil
	}),
	{"admissionregistration.k8s.io", "MutatingWebhookConfiguration"}: taking(func(h *harvest, w *admissionv1.MutatingWebhookConfiguration) error {
		h.named("", &w.ObjectMeta)
		h.facts.webhooks = append(h.facts.webhooks, mutatingWebhooks(w)...)
		return nil
	}),
	{"", "Service"}: taking(func(h *harvest, s *corev1.Service) error {
		h.named("services", &s.ObjectMeta)
		if h.facts.services == nil {
			h.facts.services = map[string]bool{}
		}
		h.facts.services[s.Namespace+"/"+s.Name] = true
		return nil
	}),
	{"discovery.k8s.io", "EndpointSlice"}: taking(func(h *harvest, s *discoveryv1.EndpointSlice) error {
		h.named("endpointslices", &s.ObjectMeta)
		if h.facts.endpoints == nil {
			h.facts.endpoints = map[string][]fleet.Endpoint{}
		}
		addEndpoints(h.facts.endpoints, s)
		return nil
	}),
	{"", "ResourceQuota"}: taking(func(h *harvest, q *corev1.ResourceQuota) error {
		h.named("resourcequotas", &q.ObjectMeta)
		h.facts.quotas = append(h.facts.quotas, toQuotas(q)...)
		return nil
	}),
	{"", "Secret"}: taking(func(h *harvest, s *corev1.Secret) error {
		h.named("secrets", &s.ObjectMeta)
		if stored, ok := storedInSecret(s); ok {
			h.facts.stored = append(h.facts.stored, stored)
		}
		return nil
	}),
	{"", "ConfigMap"}: taking(func(h *harvest, m *corev1.ConfigMap) error {
		h.named("configmaps", &m.ObjectMeta)
		if stored, ok := storedInConfigMap(m); ok {
			h.facts.stored = append(h.facts.stored, stored)
		}
		return nil
	}),
	{"storage.k8s.io", "CSINode"}: taking(func(h *harvest, n *storagev1.CSINode) error {
		h.named("", &n.ObjectMeta)
		h.facts.attach = append(h.facts.attach, toAttachLimits(n)...)
		return nil
	}),
	{"apiregistration.k8s.io", "APIService"}: func(h *harvest, raw []byte) (any, error) {
		var content map[string]any
		if err := kjson.UnmarshalCaseSensitivePreserveInts(raw, &content); err != nil {
			return new(map[string]any), err
		}
		object := &unstructured.Unstructured{Object: content}
		h.named("", &metav1.ObjectMeta{Name: object.GetName(), UID: object.GetUID()})
		h.facts.apis = append(h.facts.apis, toAPIService(object))
		return nil, nil
	},
}

// head notes the versions at which an object was written.
func (f *fileFacts) head(raw []byte, apiVersion, kind string) {
	if !strings.Contains(apiVersion, "/") || hasOneVersion(groupOf(apiVersion)) {
		return // see objectsOf
	}
	lean, _, _, err := prune(raw, make([]byte, 0, 1024), notHead)
	var object struct {
		Metadata metav1.ObjectMeta `json:"metadata"`
	}
	if err == nil {
		err = kjson.UnmarshalCaseSensitivePreserveInts(lean, &object)
	}
	if err != nil || object.Metadata.Name == "" {
		f.headless++
		return
	}
	f.objects = append(f.objects, objectsOf(apiVersion, kind, &object.Metadata)...)
}

// ReadFacts reads what checks need from what kubectl get -o json printed, as
// ReadFile reads a snapshot. Any kinds will do; what the file does not hold is
// noted as absent.
func ReadFacts(ctx context.Context, in io.Reader, file string, at time.Time, readers Readers) (check.Facts, error) {
	f := newFileReader(in)
	f.facts = true
	f.all.facts = &fileFacts{}
	if err := f.read(ctx, file); err != nil {
		return check.Facts{}, err
	}
	facts := check.Facts{Cluster: file}
	var found []fleet.Finding
	facts.Snapshot, found = f.snapshot(at)
	facts.At = facts.Snapshot.TakenAt
	absent := func(need check.Need, why, ask string) {
		facts.Lacks(check.Unread{Need: need, Why: why, Remedy: ask, Absent: true})
	}
	absent(check.NeedServer, "a file does not tell the API server's version", "name it with --from")
	absent(check.NeedUsage, "a file does not tell what was asked for", "check the cluster itself with --fleet")
	for _, need := range []check.Need{check.NeedProvider, check.NeedOffers} {
		absent(need, "a file holds nothing of the provider", "check the cluster itself with --fleet")
	}
	held := func(kinds ...string) bool {
		return slices.ContainsFunc(kinds, func(kind string) bool { return f.counts[kind] > 0 })
	}
	if f.own != nil || held("Node") && held("Pod") {
		facts.Has(check.NeedSnapshot)
		facts.Found = found
	} else {
		absent(check.NeedSnapshot, "the file does not hold both nodes and pods", getCommand)
	}
	all := f.all.facts
	facts.Objects, facts.Services, facts.Quotas, facts.Attach = all.objects, all.apis, all.quotas, all.attach
	if f.own == nil {
		facts.Has(check.NeedObjects)
	} else {
		absent(check.NeedObjects, "a snapshot in this form holds no objects", getCommand)
	}
	switch {
	case len(all.stored) == 0:
	case readers.Releases == nil:
		facts.Lacks(check.Unread{Need: check.NeedObjects, What: "Helm releases", Why: "nothing here reads them"})
	default:
		released, problems := readers.Releases(all.stored)
		facts.Objects = append(facts.Objects, released...)
		for _, u := range unreadReleases(problems) {
			u.Need = check.NeedObjects
			facts.Lacks(u)
		}
	}
	if all.headless > 0 {
		facts.Lacks(check.Unread{Need: check.NeedObjects, Why: fmt.Sprintf("the metadata of %d objects of the file cannot be read", all.headless), Remedy: "print them anew with kubectl get -o json"})
	}
	attachEndpoints(all.webhooks, all.endpoints, func(key string) bool { return all.services[key] || !held("Service") })
	facts.Webhooks = all.webhooks
	for need, kinds := range map[check.Need][]string{
		check.NeedWebhooks:    {"ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"},
		check.NeedAPIServices: {"APIService"},
		check.NeedQuotas:      {"ResourceQuota"},
		check.NeedAttach:      {"CSINode"},
	} {
		why := ""
		switch {
		case !held(kinds...):
			why = "the file holds no " + strings.Join(kinds, " and no ") + ", so nobody can tell whether there is one"
		case need == check.NeedWebhooks && !held("EndpointSlice"):
			why, kinds = "the file holds no EndpointSlice: what is behind webhooks cannot be told", []string{"EndpointSlice", "Service"}
		default:
			facts.Has(need)
			continue
		}
		absent(need, why, "ask kubectl for "+strings.ToLower(strings.Join(kinds, "s,"))+"s, too")
	}
	slices.SortFunc(facts.Unread, func(a, b check.Unread) int { return strings.Compare(string(a.Need)+a.Why, string(b.Need)+b.Why) })
	return facts, nil
}
