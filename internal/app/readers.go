package app

import (
	"liftlock.dev/liftlock/internal/adapter/apiusage"
	"liftlock.dev/liftlock/internal/adapter/helm"
	"liftlock.dev/liftlock/internal/adapter/kube"
	"liftlock.dev/liftlock/internal/adapter/manifest"
	"liftlock.dev/liftlock/internal/domain/fleet"
)

// readers lends the adapter for API servers what other adapters know to read.
func readers() kube.Readers {
	return kube.Readers{
		Metrics: apiusage.ReadMetrics,
		Releases: func(stored []kube.Stored) ([]fleet.Object, []string) {
			list := make([]helm.Stored, len(stored))
			for i, s := range stored {
				list[i] = helm.Stored(s)
			}
			return helm.Releases(list, manifest.Text)
		},
	}
}
