package kube

import (
	"strings"
	"testing"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

func TestJudge(t *testing.T) {
	const (
		sub   = "11111111-2222-3333-4444-555555555555"
		right = "azure:///subscriptions/" + sub + "/resourceGroups/mc_rg_prod_westeurope/providers/Microsoft.Compute/virtualMachineScaleSets/x/virtualMachines/0"
		other = "azure:///subscriptions/" + sub + "/resourceGroups/MC_rg_prod_westeurope2/providers/Microsoft.Compute/virtualMachines/y"
		alien = "azure:///subscriptions/99999999-2222-3333-4444-555555555555/resourceGroups/MC_rg_prod_westeurope/providers/x"
		host  = "https://prod-1.hcp.westeurope.azmk8s.io:443"
	)
	aks := fleet.Cluster{Name: "prod", Subscription: strings.ToUpper(sub), NodeResourceGroup: "MC_rg_prod_westeurope"}
	at := func(endpoint string) fleet.Cluster {
		c := aks
		c.Endpoint = endpoint
		return c
	}
	for _, tc := range []struct {
		name   string
		target fleet.Cluster
		seen   string
		nodes  []string
		wrong  string // part of the error; "" for none
	}{
		{name: "all nodes are in the group, however written", target: aks, nodes: []string{right, strings.ToUpper(right[:8]) + right[8:]}},
		{name: "virtual nodes say nothing", target: aks, nodes: []string{"", "vk://aci", right}},
		{name: "a group whose name only begins alike", target: aks, nodes: []string{right, other}, wrong: "westeurope2"},
		{name: "another subscription", target: aks, nodes: []string{alien}, wrong: "99999999"},
		{name: "nodes of another provider", target: aks, nodes: []string{"kind://docker/kind/x"}, wrong: "kind://docker"},
		{name: "pinned, but the nodes are others'", target: aks, seen: "uid", nodes: []string{other}, wrong: "westeurope2"},
		{name: "no nodes, right host", target: at("prod-1.hcp.WESTEUROPE.azmk8s.io")},
		{name: "no nodes, right host and port", target: at("prod-1.hcp.westeurope.azmk8s.io:443")},
		{name: "no nodes, other port", target: at("prod-1.hcp.westeurope.azmk8s.io:8443"), wrong: "8443"},
		{name: "no nodes, other host", target: at("prod-2.hcp.westeurope.azmk8s.io"), wrong: "prod-2"},
		{name: "no nodes, nothing to compare with", target: aks, wrong: "none of them"},
		{name: "no nodes, but pinned", target: aks, seen: "uid"},
		{name: "no resource group is known, right host", target: fleet.Cluster{Name: "x", Endpoint: "prod-1.hcp.westeurope.azmk8s.io"}, nodes: []string{"rke2://x"}},
		{name: "nothing is known at all", target: fleet.Cluster{Name: "x"}, nodes: []string{right}, wrong: "none of them"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			// The scheme of provider ids is lower case everywhere.
			for i := range tc.nodes {
				tc.nodes[i] = strings.Replace(tc.nodes[i], "AZURE://", "azure://", 1)
			}
			err := judge(tc.target, tc.seen, host, tc.nodes)
			switch {
			case tc.wrong == "" && err != nil:
				t.Errorf("refused: %v", err)
			case tc.wrong != "" && err == nil:
				t.Error("accepted")
			case tc.wrong != "" && !strings.Contains(err.Error(), tc.wrong):
				t.Errorf("error does not say %q: %v", tc.wrong, err)
			}
		})
	}
}
