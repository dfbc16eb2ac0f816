package kube

import (
	"context"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"liftlock.dev/liftlock/internal/domain/check"
	"liftlock.dev/liftlock/internal/domain/fleet"
)

// helmSecret is the type of the Secrets in which Helm keeps releases.
const helmSecret = "helm.sh/release.v1" //nolint:gosec // a type, not a secret

// livingReleases selects what Helm keeps and may still compare with.
const livingReleases = "owner=helm,status notin (superseded,uninstalled,uninstalling)"

// releaseList reads the objects of Helm's releases, from Secrets and ConfigMaps.
// Of other Secrets and ConfigMaps nothing is asked for.
func (c *cluster) releaseList(ctx context.Context) ([]fleet.Object, []check.Unread) {
	if c.readers.Releases == nil {
		return nil, []check.Unread{{What: "Helm releases", Why: "nothing here reads them"}}
	}
	secrets, err := list(ctx, func(ctx context.Context, o metav1.ListOptions) (*corev1.SecretList, error) {
		o.FieldSelector, o.LabelSelector = "type="+helmSecret, livingReleases
		return c.client.CoreV1().Secrets("").List(ctx, o)
	}, func(page *corev1.SecretList) []Stored {
		var stored []Stored
		for i := range page.Items {
			if s, ok := storedInSecret(&page.Items[i]); ok {
				stored = append(stored, s)
			}
		}
		return stored
	})
	lacks := unread(err, right{"list", "", "secrets"})
	maps, err := list(ctx, func(ctx context.Context, o metav1.ListOptions) (*corev1.ConfigMapList, error) {
		o.LabelSelector = livingReleases
		return c.client.CoreV1().ConfigMaps("").List(ctx, o)
	}, func(page *corev1.ConfigMapList) []Stored {
		var stored []Stored
		for i := range page.Items {
			if s, ok := storedInConfigMap(&page.Items[i]); ok {
				stored = append(stored, s)
			}
		}
		return stored
	})
	lacks = append(lacks, unread(err, right{"list", "", "configmaps"})...)
	for i := range lacks {
		lacks[i].What += " with Helm releases"
	}
	objects, problems := c.readers.Releases(append(secrets, maps...))
	return objects, append(lacks, unreadReleases(problems)...)
}

func unreadReleases(problems []string) []check.Unread {
	if len(problems) == 0 {
		return nil
	}
	return []check.Unread{{What: "Helm releases", Why: strings.Join(problems, "; ")}}
}

func storedInSecret(s *corev1.Secret) (Stored, bool) {
	return Stored{s.Namespace, s.Name, s.Labels, s.Data["release"]}, string(s.Type) == helmSecret
}

func storedInConfigMap(m *corev1.ConfigMap) (Stored, bool) {
	return Stored{m.Namespace, m.Name, m.Labels, []byte(m.Data["release"])}, strings.EqualFold(m.Labels["owner"], "helm")
}
