package aks

import (
	"strings"
)

// ImageFamily names the family of node images for an operating system flavour
// and machine architecture, as AKS spells it.
func ImageFamily(osSKU, architecture string) string {
	switch strings.ToLower(osSKU) {
	case "azurelinux":
		if architecture == "arm64" {
			return "AKSAzureLinux-V3gen2arm64"
		}
		return "AKSAzureLinux-V3gen2"
	case "windows2019":
		return "AKSWindows-2019-containerd"
	case "windows2022":
		return "AKSWindows-2022-containerd"
	case "windows2025":
		return "AKSWindows-2025-containerd"
	default:
		if architecture == "arm64" {
			return "AKSUbuntu-2204gen2arm64containerd"
		}
		return "AKSUbuntu-2204gen2containerd"
	}
}

// latestImage returns the newest image of a family in the region.
func (r *Region) latestImage(family string) string {
	dates := r.Images[family]
	if len(dates) == 0 {
		return family + "-202601.01.0"
	}
	return family + "-" + dates[len(dates)-1]
}

// imageFamily cuts the date off a node image version.
func imageFamily(image string) string {
	if i := strings.LastIndex(image, "-"); i > 0 {
		return image[:i]
	}
	return image
}
