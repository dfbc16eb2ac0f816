package azure

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/containerservice/armcontainerservice/v9"
	"github.com/google/go-cmp/cmp"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// What happens to each setting of a pool when another is made like it.
const (
	copied   = "copied"   // the new pool has the same
	given    = "given"    // the rollout says it
	excluded = "excluded" // it belongs to the one pool: reported, or its own state
)

// poolFields must name every field that the SDK knows of a pool. When it learns
// a new one, decide here what becomes of it, and in uncopied if it cannot be
// carried over.
var poolFields = map[string]string{
	"ArtifactStreamingProfile":   copied,
	"AvailabilityZones":          copied,
	"CapacityReservationGroupID": copied,
	"Count":                      given,
	"CreationData":               given,
	"CurrentOrchestratorVersion": excluded, // reported
	"ETag":                       excluded, // reported
	"EnableAutoScaling":          given,
	"EnableEncryptionAtHost":     copied,
	"EnableFIPS":                 copied,
	"EnableNodePublicIP":         copied, // the setting; the addresses are new
	"EnableUltraSSD":             copied,
	"GatewayProfile":             copied, // the size of the prefix; its gateways stay with the old name
	"GpuInstanceProfile":         copied,
	"GpuProfile":                 copied,
	"HostGroupID":                copied,
	"KubeletConfig":              copied,
	"KubeletDiskType":            copied,
	"LinuxOSConfig":              copied,
	"LocalDNSProfile":            copied,
	"MaxCount":                   given,
	"MaxPods":                    copied,
	"MessageOfTheDay":            copied,
	"MinCount":                   given,
	"Mode":                       copied,
	"NetworkProfile":             copied,
	"NodeImageVersion":           excluded, // writing it asks for a rollback
	"NodeLabels":                 copied,
	"NodePublicIPPrefixID":       copied,
	"NodeTaints":                 copied,
	"OSDiskSizeGB":               copied,
	"OSDiskType":                 copied,
	"OSSKU":                      copied,
	"OSType":                     copied,
	"OrchestratorVersion":        given,
	"PodIPAllocationMode":        copied,
	"PodSubnetID":                copied,
	"PowerState":                 excluded, // a new pool runs
	"ProvisioningState":          excluded, // reported
	"ProximityPlacementGroupID":  copied,
	"ScaleDownMode":              copied,
	"ScaleSetEvictionPolicy":     copied,
	"ScaleSetPriority":           copied,
	"SecurityProfile":            copied,
	"SpotMaxPrice":               copied,
	"Status":                     excluded, // reported
	"Tags":                       given,
	"Type":                       copied,
	"UpgradeSettings":            copied,
	"VMSize":                     copied,
	"VirtualMachineNodesStatus":  excluded, // reported
	"VirtualMachinesProfile":     copied,   // but for the count of a single size
	"VnetSubnetID":               copied,
	"WindowsProfile":             copied,
	"WorkloadRuntime":            copied,
}

func TestEveryPoolFieldIsDecided(t *testing.T) {
	props := reflect.TypeFor[poolProperties]()
	var known []string
	for field := range props.Fields() {
		name := field.Name
		known = append(known, name)
		if poolFields[name] == "" {
			t.Errorf("the SDK has a new pool field %s: decide in poolFields whether a new pool takes it over", name)
		}
	}
	for name := range poolFields {
		if !slices.Contains(known, name) {
			t.Errorf("the SDK has no pool field %s any more", name)
		}
	}
	// The cluster's view of a pool must hold the same fields, or propertiesOf loses some.
	profile := reflect.TypeFor[armcontainerservice.ManagedClusterAgentPoolProfile]()
	for field := range profile.Fields() {
		if name := field.Name; name != "Name" && !slices.Contains(known, name) {
			t.Errorf("the pool within its cluster has a field %s that the pool itself has not", name)
		}
	}
	if profile.NumField() != props.NumField()+1 {
		t.Errorf("the pool within its cluster has %d fields, the pool itself %d", profile.NumField(), props.NumField())
	}
}

func TestNewPoolTakesEverythingOver(t *testing.T) {
	like := &poolProperties{}
	fill(reflect.ValueOf(like).Elem(), 0)
	for field, v := range reflect.ValueOf(*like).Fields() {
		if v.IsZero() {
			t.Fatalf("the test does not fill %s", field.Name)
		}
	}
	like.EnableAutoScaling = new(false)
	before, err := json.Marshal(like)
	if err != nil {
		t.Fatal(err)
	}
	want := fleet.Pool{Name: "new", Version: v135, SnapshotID: "/snapshots/s", Count: 7, Autoscaler: &fleet.Autoscaler{Min: 2, Max: 9}, Tags: map[string]string{"a": "b"}}
	got, err := newPool(like, &want)
	if err != nil {
		t.Fatal(err)
	}
	after, _ := json.Marshal(like)
	if string(before) != string(after) {
		t.Error("the original was changed")
	}
	gotFields, likeFields := reflect.ValueOf(*got), reflect.ValueOf(*like)
	for name, treatment := range poolFields {
		if name == "VirtualMachinesProfile" {
			continue // below
		}
		g, l := gotFields.FieldByName(name), likeFields.FieldByName(name)
		switch treatment {
		case copied:
			if !reflect.DeepEqual(g.Interface(), l.Interface()) {
				t.Errorf("%s was not copied: %v", name, cmp.Diff(l.Interface(), g.Interface()))
			}
		case excluded:
			if !g.IsZero() {
				t.Errorf("%s was copied", name)
			}
		case given:
			if g.IsZero() || reflect.DeepEqual(g.Interface(), l.Interface()) {
				t.Errorf("%s was not given", name)
			}
		}
	}
	if got := *got.VirtualMachinesProfile.Scale.Manual[0].Count; got != 7 {
		t.Errorf("the single VM size has %d nodes", got)
	}
	for _, bad := range []fleet.Pool{{Version: v135, Count: -1}, {Version: v135, Autoscaler: &fleet.Autoscaler{Min: -1, Max: 1}}, {Version: v135, Autoscaler: &fleet.Autoscaler{Min: 2, Max: 1}}} {
		if _, err := newPool(like, &bad); err == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
	kept, err := newPool(like, &fleet.Pool{Version: v135})
	if err != nil || len(kept.Tags) == 0 || *kept.EnableAutoScaling || kept.CreationData != nil {
		t.Errorf("without tags, autoscaler and snapshot: %+v, %v", kept, err)
	}
}

func TestUncopied(t *testing.T) {
	vm := func(sizes ...string) *armcontainerservice.VirtualMachinesProfile {
		p := &armcontainerservice.VirtualMachinesProfile{Scale: &armcontainerservice.ScaleProfile{}}
		for _, s := range sizes {
			p.Scale.Manual = append(p.Scale.Manual, &armcontainerservice.ManualScaleProfile{Size: new(s), Count: new(int32(1))})
		}
		return p
	}
	for want, p := range map[string]*poolProperties{
		"":                       {VirtualMachinesProfile: vm("a"), EnableNodePublicIP: new(false), CreationData: creationData("s")},
		"type":                   {Type: new(armcontainerservice.AgentPoolTypeAvailabilitySet)},
		"powerState":             {PowerState: &armcontainerservice.PowerState{Code: new(armcontainerservice.CodeStopped)}},
		"gatewayProfile":         {Mode: new(armcontainerservice.AgentPoolModeGateway)},
		"enableNodePublicIP":     {EnableNodePublicIP: new(true)},
		"virtualMachinesProfile": {VirtualMachinesProfile: vm("a", "b")},
	} {
		got := uncopied(p)
		if want == "" && len(got) > 0 || want != "" && (len(got) != 1 || !strings.HasPrefix(got[0], want+":")) {
			t.Errorf("want %q, got %q", want, got)
		}
	}
}

// fill sets every field below v to something that survives JSON.
func fill(v reflect.Value, depth int) {
	if depth > 8 {
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.Type() == reflect.TypeFor[*time.Time]() {
			v.Set(reflect.ValueOf(new(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))))
			return
		}
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), depth+1)
	case reflect.Struct:
		for _, f := range v.Fields() {
			fill(f, depth+1)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), depth+1)
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		item := reflect.New(v.Type().Elem()).Elem()
		fill(item, depth+1)
		v.SetMapIndex(reflect.ValueOf("key"), item)
	case reflect.String:
		v.SetString("text")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(3)
	case reflect.Float32, reflect.Float64:
		v.SetFloat(0.5)
	case reflect.Uint8:
		v.SetUint(3)
	case reflect.Interface: // whatever a service adds to its errors
	default:
		panic("a kind of field that the SDK did not use: " + v.Kind().String())
	}
}
