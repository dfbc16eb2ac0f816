package rehearsal

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// parse reads an object as it is in a file.
func parse(t *testing.T, text string) *Object {
	t.Helper()
	content, err := decode([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return &Object{Content: content, Where: "items[0]"}
}

var testClock = clock{
	takenAt: time.Date(2026, 11, 2, 8, 0, 0, 0, time.UTC), now: time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC), speed: 10,
}

// TestPrepare holds what is created for an object, and which status it gets.
func TestPrepare(t *testing.T) {
	uids := map[string]string{"old-set": "new-set", "old-job": "new-job", "PersistentVolumeClaim/shop/data": "new-claim", "StatefulSet/shop/db": "new-db"}
	for name, c := range map[string]struct{ object, content, status string }{
		"what its API server alone writes goes": {
			`{"apiVersion":"v1","kind":"Service","metadata":{"name":"a","namespace":"shop","uid":"u","resourceVersion":"7","generation":3,"creationTimestamp":"x","managedFields":[{}],"finalizers":["service.kubernetes.io/load-balancer-cleanup"],"labels":{"a":"b"}},
			  "spec":{"clusterIP":"10.9.0.1","clusterIPs":["10.9.0.1"],"ipFamilies":["IPv4"],"ports":[{"port":80,"nodePort":31000}]},"status":{"loadBalancer":{}}}`,
			`{"apiVersion":"v1","kind":"Service","metadata":{"name":"a","namespace":"shop","labels":{"a":"b"}},"spec":{"ports":[{"port":80}]}}`, `null`,
		},
		"headless stays headless": {
			`{"apiVersion":"v1","kind":"Service","metadata":{"name":"a","namespace":"shop"},"spec":{"clusterIP":"None","clusterIPs":["None"]}}`,
			`{"apiVersion":"v1","kind":"Service","metadata":{"name":"a","namespace":"shop"},"spec":{"clusterIP":"None","clusterIPs":["None"]}}`, `null`,
		},
		"a pod stays where it is, with its owner's new uid": {
			`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","namespace":"shop","ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"s","uid":"old-set","controller":true}]},
			  "spec":{"nodeName":"n","priority":5,"preemptionPolicy":"Never","ephemeralContainers":[{}]},
			  "status":{"phase":"Running","qosClass":"Burstable","observedGeneration":2,"conditions":[{"type":"Ready","status":"True","observedGeneration":2}]}}`,
			`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","namespace":"shop","ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"s","uid":"new-set","controller":true}]},"spec":{"nodeName":"n"}}`,
			`{"phase":"Running","conditions":[{"type":"Ready","status":"True"}]}`,
		},
		"an owner is found by its name in a dump without uids": {
			`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"db-0","namespace":"shop","ownerReferences":[{"apiVersion":"apps/v1","kind":"StatefulSet","name":"db","controller":true}]},"spec":{}}`,
			`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"db-0","namespace":"shop","ownerReferences":[{"apiVersion":"apps/v1","kind":"StatefulSet","name":"db","controller":true,"uid":"new-db"}]},"spec":{}}`, `null`,
		},
		"an owner that is not there keeps its uid": {
			`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"k","namespace":"shop","ownerReferences":[{"apiVersion":"x.io/v1","kind":"Kafka","name":"k","uid":"old-k","controller":true}]},"spec":{}}`,
			`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"k","namespace":"shop","ownerReferences":[{"apiVersion":"x.io/v1","kind":"Kafka","name":"k","uid":"old-k","controller":true}]},"spec":{}}`, `null`,
		},
		"a pod that does not start is not started": {
			`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","namespace":"shop"},"spec":{"nodeName":"n"},"status":{"phase":"Pending"}}`,
			`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","namespace":"shop","annotations":{"rehearse.liftlock.dev/start":"never"}},"spec":{"nodeName":"n"}}`, `{"phase":"Pending"}`,
		},
		"the pod of a Job is counted by the Job's new uid": {
			`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","namespace":"shop","finalizers":["batch.kubernetes.io/job-tracking","x.io/y"],"labels":{"controller-uid":"old-job","batch.kubernetes.io/controller-uid":"old-job"}},"spec":{}}`,
			`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","namespace":"shop","finalizers":["batch.kubernetes.io/job-tracking"],"labels":{"controller-uid":"new-job","batch.kubernetes.io/controller-uid":"new-job"}},"spec":{}}`, `null`,
		},
		"a Job gets a new selector, and has run as long as it had": {
			`{"apiVersion":"batch/v1","kind":"Job","metadata":{"name":"j","namespace":"shop","uid":"old-job"},"spec":{"ttlSecondsAfterFinished":9,"selector":{"matchLabels":{"batch.kubernetes.io/controller-uid":"old-job"}},
			  "template":{"metadata":{"labels":{"app":"j","controller-uid":"old-job","job-name":"j","batch.kubernetes.io/job-name":"j"}}}},"status":{"active":1,"startTime":"2026-11-02T07:00:00Z","terminating":0}}`,
			`{"apiVersion":"batch/v1","kind":"Job","metadata":{"name":"j","namespace":"shop"},"spec":{"template":{"metadata":{"labels":{"app":"j"}}}}}`,
			`{"active":1,"startTime":"2026-11-20T11:00:00Z"}`,
		},
		"times that controllers wait are at the twin's speed": {
			`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"a","namespace":"shop"},"spec":{"minReadySeconds":45}}`,
			`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"a","namespace":"shop"},"spec":{"minReadySeconds":4}}`, `null`,
		},
		"a volume is bound to the claim that is there": {
			`{"apiVersion":"v1","kind":"PersistentVolume","metadata":{"name":"v"},"spec":{"claimRef":{"namespace":"shop","name":"data","uid":"old-claim","resourceVersion":"3"}},"status":{"phase":"Bound","lastPhaseTransitionTime":"x"}}`,
			`{"apiVersion":"v1","kind":"PersistentVolume","metadata":{"name":"v"},"spec":{"claimRef":{"kind":"PersistentVolumeClaim","namespace":"shop","name":"data","uid":"new-claim"}}}`, `{"phase":"Bound"}`,
		},
		"a node keeps what its owners wrote on it": {
			`{"apiVersion":"v1","kind":"Node","metadata":{"name":"n"},"spec":{"podCIDR":"10.0.0.0/24","unschedulable":true,"taints":[{"key":"node.kubernetes.io/unschedulable","effect":"NoSchedule"},{"key":"gpu","effect":"NoSchedule","timeAdded":"x"}]},
			  "status":{"capacity":{"cpu":"4"},"images":[{}],"volumesInUse":["v"],"nodeInfo":{"kubeletVersion":"v1.34.4"}}}`,
			`{"apiVersion":"v1","kind":"Node","metadata":{"name":"n"},"spec":{"unschedulable":true,"taints":[{"key":"gpu","effect":"NoSchedule"}]}}`,
			`{"capacity":{"cpu":"4"},"nodeInfo":{"kubeletVersion":"v1.34.4"}}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := parse(t, c.object)
			before, err := json.Marshal(o.Content)
			if err != nil {
				t.Fatal(err)
			}
			content, status := prepare(o, uids, testClock)
			if diff := cmp.Diff(parse(t, c.content).Content, content); diff != "" {
				t.Errorf("content (-want +got):\n%s", diff)
			}
			want, err := decode([]byte(c.status))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, status); diff != "" {
				t.Errorf("status (-want +got):\n%s", diff)
			}
			if after, err := json.Marshal(o.Content); err != nil || string(after) != string(before) {
				t.Error("the snapshot's own object was changed")
			}
		})
	}
}

func TestStageOf(t *testing.T) {
	for k, want := range map[kind]stage{
		{"apps", "Deployment"}: owners, {"extensions", "Deployment"}: owners, {"extensions", "Ingress"}: probed,
		{"", "Pod"}: pods, {"x.io", "Deployment"}: probed, {"admissionregistration.k8s.io", "ValidatingWebhookConfiguration"}: probed,
		{"batch", "CronJob"}: probed,
	} {
		if got := stageOf(k); got != want {
			t.Errorf("%s: stage %d, want %d", k, got, want)
		}
	}
	for _, k := range []kind{{"", "Secret"}, {"", "ConfigMap"}} {
		if !leftOut[k] {
			t.Errorf("%s would be taken along", k)
		}
	}
}

// TestOutOf: what has ended, or goes with its node, is no part of an upgrade.
func TestOutOf(t *testing.T) {
	for text, out := range map[string]bool{
		`{"kind":"Pod","metadata":{"name":"a","deletionTimestamp":"2026-11-02T07:00:00Z"}}`:                                                          true,
		`{"kind":"Pod","metadata":{"name":"a"},"status":{"phase":"Failed"}}`:                                                                         true,
		`{"kind":"Pod","metadata":{"name":"a","annotations":{"kubernetes.io/config.mirror":"x"}}}`:                                                   true,
		`{"kind":"Pod","metadata":{"name":"a"},"status":{"phase":"Running"}}`:                                                                        false,
		`{"kind":"Job","metadata":{"name":"a"},"status":{"conditions":[{"type":"Complete","status":"True"}]}}`:                                       true,
		`{"kind":"Job","metadata":{"name":"a"},"status":{"conditions":[{"type":"Suspended","status":"True"}]}}`:                                      false,
		`{"kind":"ReplicaSet","metadata":{"name":"a","ownerReferences":[{"controller":true,"kind":"Deployment","name":"d"}]},"spec":{"replicas":0}}`: true,
		`{"kind":"ReplicaSet","metadata":{"name":"a"},"spec":{"replicas":0}}`:                                                                        false,
	} {
		if got := outOf(parse(t, text)) != ""; got != out {
			t.Errorf("%s: left out is %v, want %v", text, got, out)
		}
	}
}

// TestStandIns: what objects name and the snapshot does not hold is made.
func TestStandIns(t *testing.T) {
	claim := `{"apiVersion":"v1","kind":"PersistentVolumeClaim","metadata":{"name":"data","namespace":"shop","uid":"c"},"spec":{"volumeName":"v1","accessModes":["ReadWriteOnce"]},"status":{"capacity":{"storage":"8Gi"}}}`
	pod := `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","namespace":"shop"},"spec":{"serviceAccountName":"web","priorityClassName":"high","priority":1000,"runtimeClassName":"gvisor","overhead":{"cpu":"50m"},
	  "volumes":[{"persistentVolumeClaim":{"claimName":"data"}},{"persistentVolumeClaim":{"claimName":"lost"}},{"emptyDir":{}}]}}`
	made := standIns([]Object{*parse(t, claim), *parse(t, pod)})
	var got []string
	for s := range probed {
		for i := range made[s] {
			got = append(got, made[s][i].Key())
		}
	}
	want := []string{
		"Namespace/default", "Namespace/kube-system", "Namespace/shop", "PriorityClass/high", "RuntimeClass/gvisor",
		"ServiceAccount/default/default", "ServiceAccount/kube-system/default", "ServiceAccount/shop/default", "ServiceAccount/shop/web",
		"PersistentVolumeClaim/shop/lost", "PersistentVolume/v1", "PersistentVolume/stand-in-shop-lost",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if v := number(made[first][3].Content, "value"); v != 1000 {
		t.Errorf("the class has priority %d, want that of its pod", v)
	}
	if ref := text(made[volumes][0].Content, "spec", "claimRef", "uid"); ref != "c" {
		t.Errorf("the volume is bound to uid %q", ref)
	}
}

// TestRevisionsOf: a StatefulSet says which its newest revision is; a DaemonSet's
// pods have to.
func TestRevisionsOf(t *testing.T) {
	pod := func(name, owner, hash string) Object {
		return *parse(t, `{"kind":"Pod","apiVersion":"v1","metadata":{"name":"`+name+`","namespace":"n","labels":{"controller-revision-hash":"`+hash+`"},"ownerReferences":[{"controller":true,"apiVersion":"apps/v1","kind":"`+owner+`","name":"a"}]}}`)
	}
	got := revisionsOf([]Object{
		*parse(t, `{"kind":"StatefulSet","apiVersion":"apps/v1","metadata":{"name":"a","namespace":"n"},"status":{"updateRevision":"a-new"}}`),
		pod("1", "StatefulSet", "a-old"), pod("2", "StatefulSet", "a-old"), pod("3", "DaemonSet", "x"), pod("4", "DaemonSet", "y"), pod("5", "DaemonSet", "y"),
	})
	if diff := cmp.Diff(map[string]string{"StatefulSet/n/a": "a-new", "DaemonSet/n/a": "y"}, got); diff != "" {
		t.Error(diff)
	}
}

// TestNewestFirst: an object whose version is gone is loaded at the version that
// its successor is kept at, in whatever order the API server names them.
func TestNewestFirst(t *testing.T) {
	for _, tt := range []struct{ versions, want []string }{
		{[]string{"autoscaling/v1", "autoscaling/v2"}, []string{"autoscaling/v2", "autoscaling/v1"}},
		{[]string{"x.io/v1alpha1", "x.io/v1", "x.io/v2beta1", "x.io/v1beta2"}, []string{"x.io/v1", "x.io/v2beta1", "x.io/v1beta2", "x.io/v1alpha1"}},
		{[]string{"v1"}, []string{"v1"}},
	} {
		got := slices.Clone(tt.versions)
		if slices.SortFunc(got, newestFirst); !slices.Equal(got, tt.want) {
			t.Errorf("%v: got %v, want %v", tt.versions, got, tt.want)
		}
	}
}
