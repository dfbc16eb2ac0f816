package kube

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// boundVolume is what a PersistentVolume binds its pods to.
type boundVolume struct {
	name  string
	local bool
	zones []string
	modes []corev1.PersistentVolumeAccessMode
}

func toVolume(pv *corev1.PersistentVolume) boundVolume {
	v := boundVolume{
		name:  pv.Name,
		local: pv.Spec.Local != nil || pv.Spec.HostPath != nil,
		modes: pv.Spec.AccessModes,
	}
	if pv.Spec.NodeAffinity == nil || pv.Spec.NodeAffinity.Required == nil {
		return v
	}
	for _, term := range pv.Spec.NodeAffinity.Required.NodeSelectorTerms {
		for _, requirement := range term.MatchExpressions {
			if requirement.Operator != corev1.NodeSelectorOpIn {
				continue
			}
			switch {
			case requirement.Key == corev1.LabelHostname:
				v.local = true
			case isZoneKey(requirement.Key):
				for _, zone := range requirement.Values {
					// Azure writes "" for disks of regions or pools without zones.
					if zone != "" && !slices.Contains(v.zones, zone) {
						v.zones = append(v.zones, zone)
					}
				}
			}
		}
	}
	slices.Sort(v.zones)
	return v
}

// isZoneKey knows the well-known zone labels and those of storage drivers, such
// as topology.disk.csi.azure.com/zone, whose values are the nodes' zones too.
func isZoneKey(key string) bool {
	return key == labelZone || key == labelZoneOld || strings.HasSuffix(key, "/zone")
}

// toClaims joins claims with their volumes and where these are attached.
func toClaims(claims []corev1.PersistentVolumeClaim, volumes []boundVolume, attachments []storagev1.VolumeAttachment) []fleet.Claim {
	byName := make(map[string]*boundVolume, len(volumes))
	for i := range volumes {
		byName[volumes[i].name] = &volumes[i]
	}
	attached := map[string][]string{}
	for i := range attachments {
		a := &attachments[i]
		if volume := a.Spec.Source.PersistentVolumeName; volume != nil && a.Status.Attached {
			attached[*volume] = append(attached[*volume], a.Spec.NodeName)
		}
	}
	converted := make([]fleet.Claim, 0, len(claims))
	for i := range claims {
		claim := &claims[i]
		c := fleet.Claim{
			Namespace:     claim.Namespace,
			Name:          claim.Name,
			Volume:        claim.Spec.VolumeName,
			ReadWriteOnce: oneNode(claim.Spec.AccessModes),
		}
		if volume := byName[c.Volume]; volume != nil {
			c.ReadWriteOnce = oneNode(volume.modes)
			c.Local = volume.local
			c.Zones = volume.zones
			c.AttachedTo = attached[c.Volume]
			slices.Sort(c.AttachedTo)
		}
		converted = append(converted, c)
	}
	return converted
}

// oneNode reports whether a volume of these access modes can be written from
// one node at a time only.
func oneNode(modes []corev1.PersistentVolumeAccessMode) bool {
	if slices.Contains(modes, corev1.ReadWriteMany) {
		return false
	}
	return slices.Contains(modes, corev1.ReadWriteOnce) || slices.Contains(modes, corev1.ReadWriteOncePod)
}
