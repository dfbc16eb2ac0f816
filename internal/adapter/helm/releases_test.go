package helm_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"liftlock.dev/liftlock/internal/adapter/helm"
	"liftlock.dev/liftlock/internal/adapter/manifest"
	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/domain/lifecycle"
)

const (
	oldBudget = "---\n# Source: web/templates/pdb.yaml\napiVersion: policy/v1beta1\nkind: PodDisruptionBudget\nmetadata:\n  name: web\n"
	newBudget = "---\n# Source: web/templates/pdb.yaml\napiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata:\n  name: web\n"
	hook      = "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: migrate\n"
)

// release is what Helm stores: JSON, compressed, in base64.
func release(t *testing.T, status, manifests string, hooks ...string) []byte {
	t.Helper()
	all := map[string]any{
		"name": "web", "version": 1, "namespace": "shop", "manifest": manifests,
		"info":   map[string]any{"status": status, "last_deployed": "2024-03-01T10:00:00.123456789+01:00"},
		"config": map[string]any{"password": "hunter2"},
		"chart":  map[string]any{"values": map[string]any{"password": "hunter2"}},
	}
	var list []map[string]any
	for _, h := range hooks {
		list = append(list, map[string]any{"name": "migrate", "kind": "Job", "path": "web/templates/migrate.yaml", "manifest": h})
	}
	all["hooks"] = list
	text, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return []byte(base64.StdEncoding.EncodeToString(zip(t, text)))
}

func zip(t *testing.T, text []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	zipped := gzip.NewWriter(&out)
	if _, err := zipped.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := zipped.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// stored is a Secret of Helm's.
func stored(revision int, status string, data []byte) helm.Stored {
	return helm.Stored{
		Namespace: "shop", Name: fmt.Sprintf("sh.helm.release.v1.web.v%d", revision), Data: data,
		Labels: map[string]string{"owner": "helm", "name": "web", "status": status, "version": fmt.Sprint(revision)},
	}
}

func TestReleases(t *testing.T) {
	unlabelled := func(s helm.Stored) helm.Stored { s.Labels = nil; return s }
	huge := append([]byte(`{"manifest":"`), bytes.Repeat([]byte("x"), 40<<20)...)
	tests := map[string]struct {
		stored []helm.Stored
		want   string
	}{
		"one revision": {
			[]helm.Stored{stored(1, "deployed", release(t, "deployed", oldBudget, hook))},
			"policy/v1beta1 PodDisruptionBudget/shop/web in release shop/web, revision 1\nbatch/v1 Job/shop/migrate in release shop/web, revision 1, hook web/templates/migrate.yaml",
		},
		"as the API server sends it": {
			[]helm.Stored{stored(1, "deployed", []byte(base64.StdEncoding.EncodeToString(release(t, "deployed", oldBudget))))},
			"policy/v1beta1 PodDisruptionBudget/shop/web in release shop/web, revision 1",
		},
		// kubent#385, #469: revisions of the past, and those that failed.
		"older revisions are past": {
			[]helm.Stored{stored(1, "superseded", release(t, "superseded", oldBudget)), stored(10, "deployed", release(t, "deployed", newBudget)), stored(9, "superseded", release(t, "superseded", oldBudget))},
			"policy/v1 PodDisruptionBudget/shop/web in release shop/web, revision 10",
		},
		"a failed upgrade leaves the one before deployed": {
			[]helm.Stored{stored(1, "deployed", release(t, "deployed", oldBudget)), stored(2, "failed", release(t, "failed", newBudget))},
			"policy/v1beta1 PodDisruptionBudget/shop/web in release shop/web, revision 1",
		},
		"a first install that failed is what Helm compares with": {
			[]helm.Stored{stored(1, "failed", release(t, "failed", oldBudget))},
			"policy/v1beta1 PodDisruptionBudget/shop/web in release shop/web, revision 1",
		},
		"what was uninstalled is gone": {[]helm.Stored{stored(1, "uninstalled", release(t, "uninstalled", oldBudget))}, ""},
		"without labels the release tells": {
			[]helm.Stored{unlabelled(stored(1, "", release(t, "superseded", oldBudget))), unlabelled(stored(2, "", release(t, "deployed", newBudget))), unlabelled(stored(3, "", release(t, "failed", oldBudget)))},
			"policy/v1 PodDisruptionBudget/shop/web in release shop/web, revision 2",
		},
		"objects that belong to no namespace": {
			[]helm.Stored{stored(1, "deployed", release(t, "deployed", "apiVersion: rbac.authorization.k8s.io/v1beta1\nkind: ClusterRole\nmetadata: {name: r}\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: other}\n"))},
			"rbac.authorization.k8s.io/v1beta1 ClusterRole/r in release shop/web, revision 1\nv1 Secret/other/s in release shop/web, revision 1",
		},
		"other Secrets are not looked at": {[]helm.Stored{{Namespace: "shop", Name: "tls", Data: []byte("secret")}}, ""},
		"not in base64": {
			[]helm.Stored{stored(1, "deployed", []byte("!!"))}, "unread release shop/web, revision 1: cannot be read: it is not in base64",
		},
		"cut off": {
			[]helm.Stored{stored(1, "deployed", release(t, "deployed", oldBudget)[:40])}, "unread release shop/web, revision 1: cannot be read: it is no release in JSON, or was cut off",
		},
		"empty": {[]helm.Stored{stored(1, "deployed", nil)}, "unread release shop/web, revision 1: is empty: it has nothing under data.release"},
		"one that would fill the memory": {
			[]helm.Stored{stored(1, "deployed", zip(t, huge))}, "unread release shop/web, revision 1: cannot be read: it unpacks to more than 32 MiB",
		},
		"a manifest that is no text": {
			[]helm.Stored{stored(1, "deployed", []byte(`{"manifest":7}`))}, "unread release shop/web, revision 1: cannot be read: manifest is a number there",
		},
		"no revision":  {[]helm.Stored{{Namespace: "shop", Name: "sh.helm.release.v1.web"}}, "unread shop/sh.helm.release.v1.web: is named like a release, without a revision"},
		"Helm 2":       {[]helm.Stored{{Namespace: "kube-system", Name: "web.v1", Labels: map[string]string{"OWNER": "TILLER"}}}, "unread kube-system/web.v1: is a release of Helm 2, which is not read; move it to Helm 3 first"},
		"a bad object": {[]helm.Stored{stored(1, "deployed", release(t, "deployed", "apiVersion: v1\n"))}, `unread release shop/web, revision 1:1: has the apiVersion "v1" and no kind`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			objects, unread := helm.Releases(test.stored, manifest.Text)
			var lines []string
			for _, o := range objects {
				lines = append(lines, o.APIVersion+" "+o.Key()+" in "+o.Where)
				if o.Source != fleet.FromRelease || o.Owner != "release shop/web" || o.At.IsZero() {
					t.Errorf("not said to be of a release: %+v", o)
				}
			}
			for _, u := range unread {
				lines = append(lines, "unread "+u)
			}
			got := strings.Join(lines, "\n")
			if got != test.want {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
			if strings.Contains(got, "hunter2") {
				t.Error("a value of the release got out")
			}
		})
	}
}

// What is read is what is judged: the release's finding says what breaks.
func TestReleaseThatBreaks(t *testing.T) {
	objects, _ := helm.Releases([]helm.Stored{stored(3, "deployed", release(t, "deployed", oldBudget))}, manifest.Text)
	findings := lifecycle.Judge(objects, fleet.MustParseVersion("1.25.0"))
	if len(findings) != 1 || findings[0].Severity != fleet.Blocker || !strings.Contains(findings[0].Why, "rollbacks") || !strings.Contains(findings[0].Evidence, "revision 3") {
		t.Errorf("got %+v", findings)
	}
}

func FuzzReleases(f *testing.F) {
	f.Add([]byte(`{"manifest":"apiVersion: v1\nkind: Pod","info":{"status":"deployed"},"hooks":[{"manifest":"x"}]}`), "deployed")
	f.Add([]byte("H4sIAAAAAAAA"), "")
	f.Fuzz(func(t *testing.T, data []byte, status string) {
		objects, unread := helm.Releases([]helm.Stored{stored(1, status, data)}, manifest.Text)
		for _, o := range objects {
			if o.Kind == "" || o.APIVersion == "" {
				t.Errorf("%+v", o)
			}
		}
		if status == "deployed" && len(data) == 0 && len(unread) == 0 {
			t.Error("nothing was read, and nothing said")
		}
	})
}
