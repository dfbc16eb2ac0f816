package rehearsal_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"testing"
	"time"
)

// takenAt is when the test's snapshots were taken: long ago, as a file's may be.
var takenAt = time.Date(2026, 11, 2, 8, 0, 0, 0, time.UTC)

type m = map[string]any

// snapshot gathers objects as kubectl prints them.
type snapshot struct{ items []m }

// file is the snapshot as kubectl prints it.
func (s *snapshot) file(t *testing.T) []byte {
	t.Helper()
	raw, err := json.Marshal(m{"apiVersion": "v1", "kind": "List", "items": s.items})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func (s *snapshot) add(apiVersion, kind, namespace, name string, more m) m {
	meta := m{
		"name": name, "uid": "uid-" + kind + "-" + namespace + "-" + name, "resourceVersion": "7",
		"creationTimestamp": takenAt.Add(-time.Hour).Format(time.RFC3339),
	}
	if namespace != "" {
		meta["namespace"] = namespace
	}
	o := m{"apiVersion": apiVersion, "kind": kind, "metadata": meta}
	for k, v := range more {
		if k == "metadata" {
			maps.Copy(meta, v.(m))
			continue
		}
		o[k] = v
	}
	s.items = append(s.items, o)
	return o
}

// node adds a node of a pool on 1.34.
func (s *snapshot) node(pool string, n int) string {
	name := fmt.Sprintf("aks-%s-%d", pool, n)
	size := m{"cpu": "4", "memory": "16Gi", "pods": "60", "ephemeral-storage": "100Gi"}
	s.add("v1", "Node", "", name, m{
		"metadata": m{"labels": m{
			"kubernetes.azure.com/agentpool": pool, "agentpool": pool, "kubernetes.io/hostname": name, "kubernetes.io/os": "linux",
			"topology.kubernetes.io/zone": fmt.Sprint("westeurope-", 1+n%2),
		}},
		"spec": m{"providerID": "azure:///subscriptions/s/resourceGroups/mc_shop/providers/Microsoft.Compute/virtualMachineScaleSets/" + pool + "/virtualMachines/" + fmt.Sprint(n)},
		"status": m{
			"capacity": size, "allocatable": size, "nodeInfo": info("v1.34.4"),
			"addresses":  []any{m{"type": "InternalIP", "address": fmt.Sprintf("10.1.0.%d", n+1)}},
			"conditions": []any{m{"type": "Ready", "status": "True", "reason": "KubeletReady", "lastHeartbeatTime": stamp(-time.Minute), "lastTransitionTime": stamp(-time.Hour)}},
			"images":     []any{m{"names": []any{"example.com/shop:1"}, "sizeBytes": 1000}},
		},
	})
	return name
}

func info(version string) m {
	return m{
		"kubeletVersion": version, "kubeProxyVersion": version, "architecture": "amd64", "bootID": "b", "containerRuntimeVersion": "containerd://2.0.0",
		"kernelVersion": "6.6", "machineID": "m", "operatingSystem": "linux", "osImage": "Ubuntu", "systemUUID": "u",
	}
}

func stamp(before time.Duration) string { return takenAt.Add(before).Format(time.RFC3339) }

// template is a pod template.
func template(labels m, cpu string) m {
	return m{"metadata": m{"labels": labels}, "spec": m{
		"containers": []any{m{
			"name": "main", "image": "example.com/shop:1", "resources": m{"requests": m{"cpu": cpu, "memory": "128Mi"}},
			"readinessProbe": m{"httpGet": m{"path": "/ready", "port": 8080}},
		}},
		"restartPolicy": "Always", "terminationGracePeriodSeconds": 30, "dnsPolicy": "ClusterFirst",
	}}
}

// pod adds a pod of a template that was Ready after a start of start.
func (s *snapshot) pod(namespace, name, node string, start time.Duration, tmpl m, labels m, owner m) m {
	raw, err := json.Marshal(tmpl["spec"])
	if err != nil {
		panic(err)
	}
	var spec m
	if err := json.Unmarshal(raw, &spec); err != nil {
		panic(err)
	}
	spec["nodeName"], spec["serviceAccountName"], spec["priority"] = node, "default", 0
	all := m{}
	maps.Copy(all, tmpl["metadata"].(m)["labels"].(m))
	maps.Copy(all, labels)
	created, ready := stamp(-time.Hour), stamp(start-time.Hour)
	meta := m{"labels": all, "creationTimestamp": created}
	if owner != nil {
		meta["ownerReferences"] = []any{owner}
	}
	yes := func(kind string) m {
		return m{"type": kind, "status": "True", "lastTransitionTime": ready, "observedGeneration": 1}
	}
	return s.add("v1", "Pod", namespace, name, m{"metadata": meta, "spec": spec, "status": m{
		"phase": "Running", "qosClass": "Burstable", "startTime": created, "podIP": "10.2.0.9", "podIPs": []any{m{"ip": "10.2.0.9"}},
		"conditions": []any{yes("PodScheduled"), yes("Initialized"), yes("ContainersReady"), yes("Ready")},
		"containerStatuses": []any{m{
			"name": "main", "image": "example.com/shop:1", "imageID": "sha256:1", "ready": true, "started": true, "restartCount": 0,
			"containerID": "containerd://1", "state": m{"running": m{"startedAt": ready}},
		}},
	}})
}

func ref(apiVersion, kind, namespace, name string) m {
	return m{"apiVersion": apiVersion, "kind": kind, "name": name, "uid": "uid-" + kind + "-" + namespace + "-" + name, "controller": true, "blockOwnerDeletion": true}
}

// deployment adds a Deployment with its ReplicaSet and pods on nodes in turn.
func (s *snapshot) deployment(namespace, name string, replicas int, start time.Duration, nodes []string, cpu string, spec m) m {
	tmpl := template(m{"app": name}, cpu)
	maps.Copy(tmpl["spec"].(m), spec)
	d := s.add("apps/v1", "Deployment", namespace, name, m{
		"metadata": m{"annotations": m{"deployment.kubernetes.io/revision": "3"}, "generation": 4},
		"spec": m{
			"replicas": replicas, "selector": m{"matchLabels": m{"app": name}}, "template": tmpl,
			"strategy": m{"type": "RollingUpdate", "rollingUpdate": m{"maxSurge": 1, "maxUnavailable": 0}},
		},
		"status": m{"replicas": replicas, "readyReplicas": replicas, "updatedReplicas": replicas, "availableReplicas": replicas, "observedGeneration": 4},
	})
	const hash = "6f7d9c5b48"
	set := name + "-" + hash
	labels := m{"app": name, "pod-template-hash": hash}
	hashed := template(labels, cpu)
	maps.Copy(hashed["spec"].(m), spec)
	s.add("apps/v1", "ReplicaSet", namespace, set, m{
		"metadata": m{"labels": labels, "annotations": m{"deployment.kubernetes.io/revision": "3"}, "ownerReferences": []any{ref("apps/v1", "Deployment", namespace, name)}},
		"spec":     m{"replicas": replicas, "selector": m{"matchLabels": labels}, "template": hashed},
		"status":   m{"replicas": replicas, "readyReplicas": replicas, "availableReplicas": replicas},
	})
	for i := range replicas {
		s.pod(namespace, fmt.Sprintf("%s-%05d", set, i), nodes[i%len(nodes)], start, tmpl, m{"pod-template-hash": hash}, ref("apps/v1", "ReplicaSet", namespace, set))
	}
	return d
}

// statefulSet adds a StatefulSet whose pods have a disk each. Its
// ControllerRevision is not in the snapshot.
func (s *snapshot) statefulSet(namespace, name string, replicas int, start time.Duration, nodes []string) {
	tmpl := template(m{"app": name}, "200m")
	s.add("apps/v1", "StatefulSet", namespace, name, m{
		"spec": m{
			"replicas": replicas, "serviceName": name, "selector": m{"matchLabels": m{"app": name}}, "template": tmpl,
			"updateStrategy": m{"type": "RollingUpdate"}, "podManagementPolicy": "OrderedReady",
			"volumeClaimTemplates": []any{m{"metadata": m{"name": "data"}, "spec": claimSpec("")}},
		},
		"status": m{"replicas": replicas, "readyReplicas": replicas, "currentReplicas": replicas, "currentRevision": name + "-7c5d", "updateRevision": name + "-7c5d"},
	})
	for i := range replicas {
		pod, claim, volume := fmt.Sprintf("%s-%d", name, i), fmt.Sprintf("data-%s-%d", name, i), fmt.Sprintf("pvc-%s-%d", name, i)
		p := s.pod(namespace, pod, nodes[i%len(nodes)], start, tmpl, m{
			"controller-revision-hash": name + "-7c5d", "statefulset.kubernetes.io/pod-name": pod, "apps.kubernetes.io/pod-index": fmt.Sprint(i),
		}, ref("apps/v1", "StatefulSet", namespace, name))
		spec := p["spec"].(m)
		spec["volumes"] = []any{m{"name": "data", "persistentVolumeClaim": m{"claimName": claim}}}
		spec["hostname"], spec["subdomain"] = pod, name
		s.add("v1", "PersistentVolumeClaim", namespace, claim, m{
			"metadata": m{"annotations": m{"pv.kubernetes.io/bind-completed": "yes", "pv.kubernetes.io/bound-by-controller": "yes"}, "finalizers": []any{"kubernetes.io/pvc-protection"}},
			"spec":     claimSpec(volume), "status": m{"phase": "Bound", "accessModes": []any{"ReadWriteOnce"}, "capacity": m{"storage": "1Gi"}},
		})
		s.add("v1", "PersistentVolume", "", volume, m{
			"metadata": m{"finalizers": []any{"external-provisioner.volume.kubernetes.io/finalizer"}},
			"spec": m{
				"capacity": m{"storage": "1Gi"}, "accessModes": []any{"ReadWriteOnce"}, "storageClassName": "managed", "persistentVolumeReclaimPolicy": "Delete",
				"claimRef": m{"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": namespace, "name": claim, "uid": "uid-PersistentVolumeClaim-" + namespace + "-" + claim, "resourceVersion": "6"},
				"csi":      m{"driver": "disk.csi.azure.com", "volumeHandle": "/disks/" + volume},
			},
			"status": m{"phase": "Bound"},
		})
	}
}

func claimSpec(volume string) m {
	spec := m{"accessModes": []any{"ReadWriteOnce"}, "storageClassName": "managed", "volumeMode": "Filesystem", "resources": m{"requests": m{"storage": "1Gi"}}}
	if volume != "" {
		spec["volumeName"] = volume
	}
	return spec
}

// daemonSet adds a DaemonSet with a pod on every node.
func (s *snapshot) daemonSet(namespace, name string, nodes []string) {
	tmpl := template(m{"app": name}, "50m")
	tmpl["spec"].(m)["tolerations"] = []any{m{"operator": "Exists"}}
	s.add("apps/v1", "DaemonSet", namespace, name, m{
		"metadata": m{"annotations": m{"deprecated.daemonset.template.generation": "1"}, "generation": 1},
		"spec": m{
			"selector": m{"matchLabels": m{"app": name}}, "template": tmpl,
			"updateStrategy": m{"type": "RollingUpdate", "rollingUpdate": m{"maxUnavailable": 1}},
		},
		"status": m{"currentNumberScheduled": len(nodes), "desiredNumberScheduled": len(nodes), "numberReady": len(nodes), "numberMisscheduled": 0, "observedGeneration": 1},
	})
	for i, node := range nodes {
		p := s.pod(namespace, fmt.Sprintf("%s-%d", name, i), node, 5*time.Second, tmpl, m{"controller-revision-hash": "58f9d", "pod-template-generation": "1"}, ref("apps/v1", "DaemonSet", namespace, name))
		p["spec"].(m)["affinity"] = m{"nodeAffinity": m{"requiredDuringSchedulingIgnoredDuringExecution": m{"nodeSelectorTerms": []any{
			m{"matchFields": []any{m{"key": "metadata.name", "operator": "In", "values": []any{node}}}},
		}}}}
	}
}

func (s *snapshot) budget(namespace, name string, spec m) {
	spec["selector"] = m{"matchLabels": m{"app": name}}
	s.add("policy/v1", "PodDisruptionBudget", namespace, name, m{"spec": spec, "metadata": m{"generation": 1}})
}

// job adds a Job that runs.
func (s *snapshot) job(namespace, name, node string) {
	uid := "uid-Job-" + namespace + "-" + name
	labels := m{"batch.kubernetes.io/controller-uid": uid, "controller-uid": uid, "batch.kubernetes.io/job-name": name, "job-name": name}
	tmpl := template(labels, "100m")
	spec := tmpl["spec"].(m)
	spec["restartPolicy"] = "Never"
	delete(spec["containers"].([]any)[0].(m), "readinessProbe")
	s.add("batch/v1", "Job", namespace, name, m{
		"spec": m{
			"parallelism": 1, "completions": 1, "backoffLimit": 6, "completionMode": "NonIndexed", "suspend": false,
			"selector": m{"matchLabels": m{"batch.kubernetes.io/controller-uid": uid}}, "template": tmpl, "activeDeadlineSeconds": 7200,
		},
		"status": m{"active": 1, "ready": 1, "startTime": stamp(-time.Hour), "uncountedTerminatedPods": m{}},
	})
	p := s.pod(namespace, name+"-x7k2p", node, 4*time.Second, tmpl, nil, ref("batch/v1", "Job", namespace, name))
	p["metadata"].(m)["finalizers"] = []any{"batch.kubernetes.io/job-tracking"}
}
