package check

import (
	"fmt"
	"strings"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// webhookCheck looks behind admission webhooks that fail closed.
func webhookCheck() Check {
	return Check{
		Name: "webhooks", Group: InCluster, Title: "Admission webhooks that would stop everything", Needs: []Need{NeedWebhooks, NeedSnapshot},
		Doc: "A webhook with failurePolicy Fail refuses what it is asked about while nothing answers behind it. Where it is asked about pods, its own pods among them, a cluster in which it is down cannot start any, and an upgrade stops for good.",
		Finds: []Kind{
			{"webhook-unanswered", "failurePolicy Fail, and no endpoint is Ready"},
			{"webhook-one-endpoint", "failurePolicy Fail, asked about pods, and one endpoint is Ready"},
			{"webhook-on-leaving-nodes", "failurePolicy Fail, asked about pods, and all its endpoints are on nodes of one pool that leave together"},
		},
		Run: func(f *Facts) []fleet.Finding {
			var out []fleet.Finding
			for i := range f.Webhooks {
				if w := &f.Webhooks[i]; w.Fails && w.Service != "" {
					out = append(out, f.judgeWebhook(w)...)
				}
			}
			return out
		},
	}
}

func (f *Facts) judgeWebhook(w *Webhook) []fleet.Finding {
	finding := fleet.Finding{
		Severity: fleet.Warning, Object: w.Kind + "/" + w.Configuration, Owner: w.Owner,
		Evidence: fmt.Sprintf("webhook %s, failurePolicy Fail, service %s, asked about %s", w.Name, w.Service, strings.Join(w.Asks, ", ")),
	}
	m := f.moving()
	ready, pools := 0, map[string]bool{}
	stays := false
	for _, e := range w.Endpoints {
		if !e.Ready {
			continue
		}
		ready++
		pool, leaves := m.leaving[e.Node]
		if !leaves {
			stays = true
		}
		pools[pool] = true
	}
	switch {
	case ready == 0:
		finding.ID, finding.Severity = "webhook-unanswered", fleet.Blocker
		finding.What = fmt.Sprintf("webhook %s has no Ready endpoint behind service %s, and refuses what it is asked about", w.Name, w.Service)
		if w.Missing {
			finding.What = fmt.Sprintf("webhook %s asks service %s, which does not exist, and refuses what it is asked about", w.Name, w.Service)
		}
		finding.Why = "asked about " + some(w.Asks)
		finding.Remedy = "bring the pods behind the service up; or delete the configuration, if what made it is gone; or set failurePolicy Ignore for the time of the upgrade"
	case !w.Pods:
		return nil
	case ready == 1:
		finding.ID = "webhook-one-endpoint"
		finding.What = fmt.Sprintf("webhook %s is asked about pods, and has one Ready endpoint", w.Name)
		finding.Why = "while it moves, no pod can be made anywhere that the webhook is asked about"
		finding.Remedy = "run two replicas on different nodes, with a budget"
	case !stays && len(pools) == 1:
		finding.ID = "webhook-on-leaving-nodes"
		finding.What = fmt.Sprintf("all %d Ready endpoints of webhook %s are on %s, whose nodes leave together", ready, w.Name, poolWord(sortedKeys(pools)[0]))
		finding.Why = "it is asked about pods, also about those that are to replace its own"
		finding.Remedy = "spread its pods over pools; or give it a budget, so that some are always there"
		if w.OwnNamespaceExcluded {
			finding.Severity = fleet.Info
		}
	default:
		return nil
	}
	if ready > 0 && !w.OwnNamespaceExcluded {
		finding.Remedy += "; exclude its own namespace by namespaceSelector"
	}
	return []fleet.Finding{finding}
}
