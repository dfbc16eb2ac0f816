package azure

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/rollout"
)

func listed(subscription, group, name, tags string) string {
	return fmt.Sprintf(`{"id":"/subscriptions/%s/resourcegroups/%s/providers/Microsoft.ContainerService/ManagedClusters/%s","name":"%[3]s","location":"westeurope","tags":{%[4]s},
		"properties":{"provisioningState":"Succeeded","currentKubernetesVersion":"1.34.4","agentPoolProfiles":[]}}`, subscription, group, name, tags)
}

func value(items ...string) string { return `{"value":[` + strings.Join(items, ",") + `]}` }

func listPath(subscription string) string {
	return "GET /subscriptions/" + subscription + "/providers/Microsoft.ContainerService/managedClusters"
}

func groupPath(subscription, group string) string {
	return "GET /subscriptions/" + subscription + "/resourceGroups/" + group + "/providers/Microsoft.ContainerService/managedClusters"
}

func TestDiscover(t *testing.T) {
	f := newFakeARM(t)
	f.on(listPath(sub1), http.StatusOK, `{"value":[`+listed(sub1, "rg-Z", "Zulu", `"Env":"PROD-eu"`)+`],"nextLink":"$HOST/page2?token=`+secretMark+`"}`)
	f.on("GET /page2", http.StatusOK, value(listed(sub1, "rg-a", "alpha", `"env":"prod-us"`), listed(sub1, "other", "beta", `"env":"prod-us"`), listed(sub1, "rg-a", "old-1", `"env":"prod"`)))
	f.on(groupPath(sub2, "rg(x)"), http.StatusOK, value(listed(sub2, "rg(x)", "gamma", "")))
	p := f.provider()

	for _, test := range []struct {
		name    string
		sources []fleet.Source
		want    []string
	}{
		{"everything", []fleet.Source{{Subscription: sub1}}, []string{"beta", "alpha", "old-1", "zulu"}},
		{"tags and groups without case", []fleet.Source{{Subscription: strings.ToUpper(sub1), ResourceGroups: []string{"RG-?"}, Tags: map[string]string{"ENV": "prod*"}, Exclude: []string{"OLD-*"}}}, []string{"alpha", "zulu"}},
		{"several sources, each cluster once", []fleet.Source{{Subscription: sub1, ResourceGroups: []string{"rg-*"}}, {Subscription: sub1, Tags: map[string]string{"env": "*us"}}, {Subscription: sub2, ResourceGroups: []string{"rg(x)"}}}, []string{"beta", "alpha", "old-1", "zulu", "gamma"}},
		{"none", nil, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			f.forget(listPath(sub1))
			f.on(listPath(sub1), http.StatusOK, `{"value":[`+listed(sub1, "rg-Z", "Zulu", `"Env":"PROD-eu"`)+`],"nextLink":"$HOST/page2?token=`+secretMark+`"}`)
			clusters, err := p.Discover(t.Context(), test.sources)
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, c := range clusters {
				if c.ID != strings.ToLower(c.ID) {
					t.Errorf("id %s is not lower-case", c.ID)
				}
				names = append(names, strings.ToLower(c.Name))
			}
			if diff := cmp.Diff(test.want, names); diff != "" {
				t.Error(diff)
			}
		})
	}
	if len(f.asked(listPath(sub2))) > 0 {
		t.Error("a group that is named outright must not need rights on its subscription")
	}
}

// A part of the fleet that cannot be seen is an error that names it.
func TestDiscoverNamesWhatWasRefused(t *testing.T) {
	f := newFakeARM(t)
	f.on(listPath(sub1), http.StatusOK, value(listed(sub1, "rg", "alpha", "")))
	f.on(listPath(sub2), http.StatusForbidden, `{"error":{"code":"AuthorizationFailed","message":"The client 'x' does not have authorization to perform action 'Microsoft.ContainerService/managedClusters/read' over scope '/subscriptions/`+sub2+`'."}}`)
	_, err := f.provider().Discover(t.Context(), []fleet.Source{{Subscription: sub1}, {Subscription: sub2}})
	if code := rollout.CodeOf(err); code != rollout.CodeUnauthorized {
		t.Fatalf("got %q: %v", code, err)
	}
	if !strings.Contains(err.Error(), "subscription "+sub2) {
		t.Errorf("the error does not name the subscription: %v", err)
	}
	if _, err := f.provider().Discover(t.Context(), []fleet.Source{{Subscription: " "}}); rollout.CodeOf(err) != rollout.CodeInvalid {
		t.Errorf("a source without subscription: %v", err)
	}
}

// A sign-in that fails concerns every list, and is told once.
func TestDiscoverTellsOfTheSignInOnce(t *testing.T) {
	f := newFakeARM(t)
	o := f.options()
	o.Identity.TokenFile = filepath.Join(t.TempDir(), "missing")
	_, err := f.providerWith(o).Discover(t.Context(), []fleet.Source{{Subscription: sub1}, {Subscription: sub2}})
	if code := rollout.CodeOf(err); code != rollout.CodeUnauthorized {
		t.Fatalf("got %q: %v", code, err)
	}
	if n := strings.Count(err.Error(), "identity WorkloadIdentity"); n != 1 {
		t.Errorf("told %d times: %v", n, err)
	}
}

func TestMatches(t *testing.T) {
	for _, test := range []struct {
		pattern, name string
		want          bool
	}{
		{"", "", true},
		{"*", "", true},
		{"rg-*", "RG-Prod", true},
		{"rg-?", "rg-ab", false},
		{"*prod*", "my-prod-1", true},
		{"*-a-*-b", "x-a-y-a-z-b", true},
		{"[a]", "a", false},
		{"[a]", "[A]", true},
		{"a*", "b", false},
		{"?", "é", true},
	} {
		if got := matches(test.pattern, test.name); got != test.want {
			t.Errorf("matches(%q, %q) = %v", test.pattern, test.name, got)
		}
	}
}
