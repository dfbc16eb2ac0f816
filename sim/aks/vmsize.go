package aks

import (
	"maps"
	"slices"
	"strings"
)

// VMSize is what a virtual machine of a size has.
type VMSize struct {
	Name         string
	VCPUs        int
	MemoryGiB    int
	Family       string // the quota family: "standardDSv5Family"
	Architecture string // "amd64" or "arm64"
	Generation1  bool   // offers first-generation images only
}

// vmSizes is a small part of Azure's list: one to three sizes of the usual families.
func vmSizes() map[string]VMSize {
	list := []VMSize{
		{Name: "Standard_B2ms", VCPUs: 2, MemoryGiB: 8, Family: "standardBSFamily", Architecture: "amd64"},
		{Name: "Standard_B4ms", VCPUs: 4, MemoryGiB: 16, Family: "standardBSFamily", Architecture: "amd64"},
		{Name: "Standard_DS2_v2", VCPUs: 2, MemoryGiB: 7, Family: "standardDSv2Family", Architecture: "amd64"},
		{Name: "Standard_DS3_v2", VCPUs: 4, MemoryGiB: 14, Family: "standardDSv2Family", Architecture: "amd64"},
		{Name: "Standard_D2s_v3", VCPUs: 2, MemoryGiB: 8, Family: "standardDSv3Family", Architecture: "amd64"},
		{Name: "Standard_D4s_v3", VCPUs: 4, MemoryGiB: 16, Family: "standardDSv3Family", Architecture: "amd64"},
		{Name: "Standard_D2s_v5", VCPUs: 2, MemoryGiB: 8, Family: "standardDSv5Family", Architecture: "amd64"},
		{Name: "Standard_D4s_v5", VCPUs: 4, MemoryGiB: 16, Family: "standardDSv5Family", Architecture: "amd64"},
		{Name: "Standard_D8s_v5", VCPUs: 8, MemoryGiB: 32, Family: "standardDSv5Family", Architecture: "amd64"},
		{Name: "Standard_D16s_v5", VCPUs: 16, MemoryGiB: 64, Family: "standardDSv5Family", Architecture: "amd64"},
		{Name: "Standard_D2ds_v5", VCPUs: 2, MemoryGiB: 8, Family: "standardDDSv5Family", Architecture: "amd64"},
		{Name: "Standard_D4ds_v5", VCPUs: 4, MemoryGiB: 16, Family: "standardDDSv5Family", Architecture: "amd64"},
		{Name: "Standard_D8ds_v5", VCPUs: 8, MemoryGiB: 32, Family: "standardDDSv5Family", Architecture: "amd64"},
		{Name: "Standard_D4as_v5", VCPUs: 4, MemoryGiB: 16, Family: "standardDASv5Family", Architecture: "amd64"},
		{Name: "Standard_E4s_v5", VCPUs: 4, MemoryGiB: 32, Family: "standardESv5Family", Architecture: "amd64"},
		{Name: "Standard_E8s_v5", VCPUs: 8, MemoryGiB: 64, Family: "standardESv5Family", Architecture: "amd64"},
		{Name: "Standard_F8s_v2", VCPUs: 8, MemoryGiB: 16, Family: "standardFSv2Family", Architecture: "amd64"},
		{Name: "Standard_D2ps_v5", VCPUs: 2, MemoryGiB: 8, Family: "standardDPSv5Family", Architecture: "arm64"},
		{Name: "Standard_D4ps_v5", VCPUs: 4, MemoryGiB: 16, Family: "standardDPSv5Family", Architecture: "arm64"},
		{Name: "Standard_D8ps_v5", VCPUs: 8, MemoryGiB: 32, Family: "standardDPSv5Family", Architecture: "arm64"},
	}
	byName := make(map[string]VMSize, len(list))
	for _, size := range list {
		byName[strings.ToLower(size.Name)] = size
	}
	return byName
}

// FindVMSize looks a size up by name, ignoring case.
func FindVMSize(name string) (VMSize, bool) {
	size, ok := vmSizes()[strings.ToLower(name)]
	return size, ok
}

// VMSizeNames lists the sizes that the simulation knows.
func VMSizeNames() []string {
	var names []string
	for size := range maps.Values(vmSizes()) {
		names = append(names, size.Name)
	}
	slices.Sort(names)
	return names
}

// series is the letter of a size's series, by which node pool snapshots tell
// whether an image fits: "D" of Standard_D4ds_v5.
func (s VMSize) series() string {
	name := strings.TrimPrefix(s.Name, "Standard_")
	return name[:strings.IndexAny(name, "0123456789S")]
}

// memoryBytes is the machine's memory as a node would report it.
func (s VMSize) memoryBytes() int64 { return int64(s.MemoryGiB) << 30 }
