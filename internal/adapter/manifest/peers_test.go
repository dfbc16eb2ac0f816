package manifest_test

import (
	"strings"
	"testing"

	"liftlock.dev/liftlock/internal/adapter/manifest"
	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/domain/lifecycle"
)

// What users of pluto, kubent and kubepug reported as missed or told wrongly, as
// files, with what is to be found in them.
func TestWhatPeersWereToldOf(t *testing.T) {
	tests := map[string]struct {
		target, text string
		want         []string // "severity id object at place"
	}{
		// pluto#233, #286 and others: kinds that no list by hand had.
		"kinds that lists by hand miss": {
			"1.36.0", `apiVersion: admissionregistration.k8s.io/v1beta1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: a}
---
apiVersion: policy/v1beta1
kind: Eviction
metadata: {name: b}
---
apiVersion: storage.k8s.io/v1alpha1
kind: CSIStorageCapacity
metadata: {name: c}
---
apiVersion: authorization.k8s.io/v1beta1
kind: LocalSubjectAccessReview
metadata: {name: d}
---
apiVersion: networking.k8s.io/v1alpha1
kind: ClusterCIDR
metadata: {name: e}
`,
			[]string{
				"blocker api-removed CSIStorageCapacity/c at f:9", "blocker api-removed ClusterCIDR/e at f:17", "blocker api-removed Eviction/b at f:5",
				"blocker api-removed LocalSubjectAccessReview/d at f:13", "blocker api-removed ValidatingAdmissionPolicyBinding/a at f:1",
			},
		},
		// A wrong "removed in" hides a removal, or blocks what works.
		"removals that lists by hand date wrongly": {
			"1.36.0", "apiVersion: resource.k8s.io/v1beta1\nkind: DeviceClass\nmetadata: {name: a}\n",
			[]string{"warning api-deprecated DeviceClass/a at f:1"},
		},
		"and the same": {
			"1.26.0", "apiVersion: flowcontrol.apiserver.k8s.io/v1beta1\nkind: PriorityLevelConfiguration\nmetadata: {name: a}\n",
			[]string{"blocker api-removed PriorityLevelConfiguration/a at f:1"},
		},
		// pluto#461: an object as kubectl get prints it, with the annotation of a manifest of old.
		"a dump of a live object": {
			"1.22.0", `apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  annotations:
    kubectl.kubernetes.io/last-applied-configuration: |
      {"apiVersion":"extensions/v1beta1","kind":"Ingress","metadata":{"name":"web"}}
  managedFields:
  - apiVersion: extensions/v1beta1
    manager: kubectl
  name: web
  namespace: shop
status:
  loadBalancer: {}
`, nil,
		},
		"a list, of which one item is old": {
			"1.22.0", `apiVersion: v1
items:
- apiVersion: apps/v1
  kind: Deployment
  metadata: {name: new}
- apiVersion: extensions/v1beta1
  kind: Deployment
  metadata:
    name: old
kind: List
`, []string{"blocker api-removed Deployment/old at f:6"},
		},
		"a list in JSON, on one line": {
			"1.22.0", `{"kind":"List","apiVersion":"v1","items":[{"kind":"Ingress","apiVersion":"networking.k8s.io/v1beta1","metadata":{"name":"web","namespace":"shop"}}]}`,
			[]string{"blocker api-removed Ingress/shop/web at f:1"},
		},
		"a manifest in a ConfigMap is text": {
			"1.22.0", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata:\n  ingress.yaml: |\n    apiVersion: extensions/v1beta1\n    kind: Ingress\n", nil,
		},
		"Windows' line ends and a byte order mark": {
			"1.22.0", "\ufeffapiVersion: extensions/v1beta1\r\nkind: Ingress\r\nmetadata:\r\n  name: web\r\n",
			[]string{"blocker api-removed Ingress/web at f:1"},
		},
		// A chart that adapts is no trouble; peers that render with defaults miss the rest.
		"a chart that adapts": {
			"1.25.0", "{{- if .Capabilities.APIVersions.Has \"policy/v1\" }}\napiVersion: policy/v1\n{{- else }}\napiVersion: policy/v1beta1\n{{- end }}\nkind: PodDisruptionBudget\nmetadata:\n  name: web\n",
			[]string{"info api-removed PodDisruptionBudget/web at f:4"},
		},
		"a chart that is off by default": {
			"1.25.0", "{{- if .Values.psp.enabled }}\napiVersion: policy/v1beta1\nkind: PodSecurityPolicy\nmetadata:\n  name: web\n{{- end }}\n",
			[]string{"warning api-removed PodSecurityPolicy/web at f:2"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			objects, unread := manifest.Text("f", []byte(test.text))
			if len(unread) > 0 {
				t.Errorf("not read: %v", unread)
			}
			var got []string
			for _, f := range lifecycle.Judge(objects, fleet.MustParseVersion(test.target)) {
				line := string(f.Severity) + " " + f.ID + " " + f.Object
				for e := range strings.SplitSeq(f.Evidence, "\n") {
					apiVersion, place, _ := strings.Cut(e, " in ")
					if strings.Contains(f.What, apiVersion[strings.LastIndex(apiVersion, " ")+1:]+" ") {
						line += " at " + place
					}
				}
				got = append(got, line)
			}
			if strings.Join(got, "\n") != strings.Join(test.want, "\n") {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(test.want, "\n"))
			}
		})
	}
}
