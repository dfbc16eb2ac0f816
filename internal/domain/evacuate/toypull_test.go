package evacuate

import (
	"strings"
	"time"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

func (t *toyTemplate) images() []string {
	if t.image == "" {
		return nil
	}
	return []string{t.image}
}

func (t *toyTemplate) secrets() []string {
	if t.secret == "" {
		return nil
	}
	return []string{t.secret}
}

// image says how large an image is and how long it takes to be pulled. All nodes
// that are there have it.
func (k *toyKube) image(name string, gib float64, seconds int) {
	if k.pullTakes == nil {
		k.pullTakes, k.pulling = map[string]int{}, map[string]time.Time{}
	}
	k.pullTakes[name] = seconds
	for _, n := range k.nodes {
		if n.Images == nil {
			n.Images = map[string]int64{}
		}
		n.Images[canonical(name)] = int64(gib * (1 << 30))
	}
}

// pulled reports whether a node has an image, and lets it pull it.
func (k *toyKube) pulled(n *fleet.Node, image string) bool {
	if hasImage(n, image) {
		return true
	}
	takes, known := k.pullTakes[image]
	key := n.Name + " " + image
	switch at, begun := k.pulling[key]; {
	case !known:
		return true
	case takes < 0:
		return false
	case !begun:
		k.pulling[key] = k.now.Add(time.Duration(takes) * time.Second)
		return false
	case k.now.Before(at):
		return false
	}
	if n.Images == nil {
		n.Images = map[string]int64{}
	}
	n.Images[canonical(image)] = 1
	return true
}

// doPrePull makes a pod that pulls.
func (k *toyKube) doPrePull(a Action) Outcome {
	namespace, name, _ := strings.Cut(a.Pod, "/")
	for _, p := range k.pods {
		if p.Key() == a.Pod {
			return Outcome{Result: Done}
		}
	}
	p := &toyPod{Pod: fleet.Pod{
		Namespace: namespace, Name: name, UID: k.uid(), Node: a.Node, Phase: "Pending", CreatedAt: k.now,
		Labels: map[string]string{fleet.MarkPrePull: "r1"}, Annotations: map[string]string{}, PullSecrets: a.Secrets,
	}}
	for _, image := range a.Images {
		p.Pulls = append(p.Pulls, fleet.Pull{Image: image})
	}
	k.pods = append(k.pods, p)
	return Outcome{Result: Done}
}

// pullFor is a kubelet at work on such a pod, one image after the other.
func (k *toyKube) pullFor(p *toyPod) {
	n := k.node(p.Node)
	for i := range p.Pulls {
		pull := &p.Pulls[i]
		if pull.Done || pull.Failed != "" {
			continue
		}
		if k.pullTakes[pull.Image] < 0 {
			pull.Failed = "ErrImagePull: not found"
			continue
		}
		if pull.Done = k.pulled(n, pull.Image); !pull.Done {
			return
		}
	}
}
