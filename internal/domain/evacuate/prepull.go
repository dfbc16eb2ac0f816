package evacuate

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// pullNamespace is where images are pulled that need no secret. Those that do
// are pulled in the namespace of their workload, where the secret is.
const pullNamespace = "kube-system"

// imagesPerPod bounds how many images one pod pulls.
const imagesPerPod = 10

// Pulling is what is remembered of images that were pulled beforehand. Losing it
// costs a look at each image again.
type Pulling struct {
	StartedAt time.Time `json:"startedAt,omitzero"`
	// Done holds node and image, with why it could not be pulled or "".
	Done map[string]string `json:"done,omitempty"`
}

// Pulled says how far images were pulled to the receiving nodes beforehand, each
// image on each node counting once.
type Pulled struct {
	Images      int   `json:"images"`
	ImagesDone  int   `json:"imagesDone"`
	Bytes       int64 `json:"bytes"` // as far as sizes are known
	BytesDone   int64 `json:"bytesDone"`
	ImagesNever int   `json:"imagesNever,omitempty"` // could not be pulled
}

// wantedImage is an image that a receiving node should have, and what pulling it
// takes.
type wantedImage struct {
	image     string // as pods name it
	size      int64
	namespace string
	secrets   string // comma-separated
}

// canonical is an image's name as container runtimes report it: with registry
// and tag.
func canonical(image string) string {
	name := image
	first, rest, found := strings.Cut(name, "/")
	if !found {
		name = "docker.io/library/" + name
	} else if !strings.ContainsAny(first, ".:") && first != "localhost" {
		name = "docker.io/" + first + "/" + rest
	}
	if last := name[strings.LastIndex(name, "/")+1:]; !strings.ContainsAny(last, ":@") {
		name += ":latest"
	}
	return name
}

// prepull lets the receiving nodes pull the images of the pods that will move to
// them, before the first node is cordoned: an image of some gigabytes, pulled in
// the middle, would keep its pod away for minutes. No node is cordoned before the
// images are there, could not be pulled, or took longer than the policy allows.
func (t *turn) prepull() {
	pullers := t.pullers()
	policy := t.in.Policy.PrePull
	begun := t.started && len(t.closing) == 0 // no new nodes come any more
	if policy.Images == "" || policy.Images == fleet.PrePullOff || t.in.Back || len(t.receiving) == 0 || begun {
		t.endPulls(pullers)
		return
	}
	m := &t.mem.Pulling
	m.Done = cloned(m.Done)
	if m.StartedAt.IsZero() {
		m.StartedAt = t.now
	}
	t.learnPulls(pullers)
	late := policy.Timeout > 0 && t.now.Sub(m.StartedAt) > policy.Timeout
	progress := Pulled{}
	var never []string
	for _, name := range sortedKeys(t.receiving) {
		n := t.nodes[name]
		if n == nil {
			continue
		}
		var missing []wantedImage
		for _, w := range t.wanted(n) {
			progress.Images++
			progress.Bytes += w.size
			why, done := m.Done[name+" "+w.image]
			switch {
			case hasImage(n, w.image) || done && why == "":
				progress.ImagesDone++
				progress.BytesDone += w.size
			case done:
				progress.ImagesNever++
				never = append(never, w.image+" on node "+name+": "+why)
			case late:
				progress.ImagesNever++
				never = append(never, w.image+" on node "+name+": not there after "+policy.Timeout.String())
			default:
				missing = append(missing, w)
			}
		}
		t.pull(n, missing, pullers)
	}
	t.endPulls(slices.DeleteFunc(pullers, func(p *fleet.Pod) bool { return !late && !p.Finished() && t.stillPulls(p) }))
	if progress.Images > 0 {
		t.pass.Pulled = &progress
	}
	if len(never) > 0 {
		t.pass.Findings = append(t.pass.Findings, notPulled(never))
	}
	if open := progress.Images - progress.ImagesDone - progress.ImagesNever; open > 0 && !t.started && t.stop == "" {
		t.mem.LastProgress = t.now // what is pulled has a time of its own
		t.stop = "images are pulled to the new nodes before the first cordon: " + progress.String()
	}
}

// String says how far it is, for people.
func (p Pulled) String() string {
	s := fmt.Sprintf("%d of %d", p.ImagesDone, p.Images)
	if p.Bytes > 0 {
		s += fmt.Sprintf(" (%.1f of %.1f GiB)", float64(p.BytesDone)/(1<<30), float64(p.Bytes)/(1<<30))
	}
	if p.ImagesNever > 0 {
		s += fmt.Sprintf(", %d could not be", p.ImagesNever)
	}
	return s
}

// pullers are our pods that pull images, sorted.
func (t *turn) pullers() []*fleet.Pod {
	var out []*fleet.Pod
	for i := range t.in.Snapshot.Pods {
		if p := &t.in.Snapshot.Pods[i]; Puller(p) {
			out = append(out, p)
		}
	}
	slices.SortFunc(out, func(a, b *fleet.Pod) int { return cmp.Compare(a.Key(), b.Key()) })
	return out
}

// Puller reports whether a pod is one of ours that pulls images.
func Puller(p *fleet.Pod) bool { return p.Labels[fleet.MarkPrePull] != "" }

// learnPulls takes in what our pods have pulled, or could not.
func (t *turn) learnPulls(pullers []*fleet.Pod) {
	for _, p := range pullers {
		for _, pull := range p.Pulls {
			switch {
			case pull.Done:
				t.mem.Pulling.Done[p.Node+" "+pull.Image] = ""
			case pull.Failed != "":
				t.mem.Pulling.Done[p.Node+" "+pull.Image] = pull.Failed
			}
		}
	}
}

// stillPulls reports whether one of our pods has something left to do.
func (t *turn) stillPulls(p *fleet.Pod) bool {
	if !t.receiving[p.Node] {
		return false
	}
	return len(p.Pulls) == 0 || slices.ContainsFunc(p.Pulls, func(pull fleet.Pull) bool { return !pull.Done && pull.Failed == "" })
}

// endPulls removes our pods that have done their work.
func (t *turn) endPulls(pullers []*fleet.Pod) {
	for _, p := range pullers {
		if p.DeletedAt.IsZero() {
			t.do(Action{Kind: EndPull, Pod: p.Key(), UID: p.UID, Reason: "the images are on its node, or cannot be had"}, Sent{})
		}
	}
}

// wanted are the images that the pods which may move to a node need there, as
// far as the policy asks for them: of the same platform, sorted.
func (t *turn) wanted(n *fleet.Node) []wantedImage {
	if t.imageSizes == nil {
		t.imageSizes = map[string]int64{}
		for name := range t.leaving {
			if old := t.nodes[name]; old != nil {
				for image, size := range old.Images {
					t.imageSizes[image] = max(t.imageSizes[image], size)
				}
			}
		}
	}
	room := &roomNode{Node: n}
	found := map[string]wantedImage{}
	for _, p := range t.pullsFor() {
		from := t.nodes[p.Node]
		if from.Labels[labelOS] != n.Labels[labelOS] || from.Labels[labelArch] != n.Labels[labelArch] || !t.suits(p, room, nil, false) {
			continue
		}
		for _, image := range p.Images {
			size := t.imageSizes[canonical(image)]
			if t.in.Policy.PrePull.Images == fleet.PrePullBig && size < t.in.Policy.PrePull.Threshold {
				continue
			}
			w := wantedImage{image: image, size: size, namespace: pullNamespace}
			if len(p.PullSecrets) > 0 {
				w.namespace, w.secrets = p.Namespace, strings.Join(p.PullSecrets, ",")
			}
			if had, ok := found[image]; !ok || w.secrets != "" && had.secrets == "" {
				found[image] = w
			}
		}
	}
	out := make([]wantedImage, 0, len(found))
	for _, image := range slices.Sorted(maps.Keys(found)) {
		out = append(out, found[image])
	}
	return out
}

// pullsFor are the pods whose images may be needed elsewhere, one of each kind:
// those of a workload, a revision and a pool are alike.
func (t *turn) pullsFor() []*pod {
	if t.alike != nil {
		return t.alike
	}
	t.alike = []*pod{}
	type kind struct{ workload, revision, pool string }
	seen := map[kind]bool{}
	for _, p := range t.moving {
		from := t.nodes[p.Node]
		if p.gone || from == nil || p.owner == nil || p.owner.dangling || p.owner.Kind == fleet.Job || len(p.Images) == 0 {
			continue
		}
		if k := (kind{p.Workload, p.Revision, from.Pool}); !seen[k] {
			seen[k] = true
			t.alike = append(t.alike, p)
		}
	}
	return t.alike
}

const (
	labelOS   = "kubernetes.io/os"
	labelArch = "kubernetes.io/arch"
)

// hasImage reports whether a node says that it has an image. It names its
// largest ones only.
func hasImage(n *fleet.Node, image string) bool {
	_, has := n.Images[canonical(image)]
	return has
}

// pull starts pods that pull what a node is missing: one for each set of images
// that one namespace's secrets open.
func (t *turn) pull(n *fleet.Node, missing []wantedImage, pullers []*fleet.Pod) {
	if !n.Ready || t.in.Hold != "" || t.leaving[n.Name] {
		return
	}
	under := map[string]bool{}
	for _, p := range pullers {
		if p.Node == n.Name {
			for _, pull := range p.Pulls {
				under[pull.Image] = true
			}
		}
	}
	groups := map[string][]wantedImage{}
	for _, w := range missing {
		if !under[w.image] {
			key := w.namespace + " " + w.secrets
			groups[key] = append(groups[key], w)
		}
	}
	for _, key := range sortedKeys(groups) {
		for chunk := range slices.Chunk(groups[key], imagesPerPod) {
			a := Action{
				Kind: PrePull, Node: n.Name, UID: n.UID, OS: n.Labels[labelOS],
				Reason: fmt.Sprintf("%d images are to be there before pods move here", len(chunk)),
			}
			name := fnv.New64a()
			_, _ = name.Write([]byte(n.Name + " " + key))
			for _, w := range chunk {
				a.Images = append(a.Images, w.image)
				_, _ = name.Write([]byte(" " + w.image))
			}
			if secrets := chunk[0].secrets; secrets != "" {
				a.Secrets = strings.Split(secrets, ",")
			}
			a.Pod = chunk[0].namespace + "/liftlock-prepull-" + strconv.FormatUint(name.Sum64(), 36)
			if r, no := t.refused(PrePull, a.Pod, n.UID); no {
				for _, w := range chunk {
					t.mem.Pulling.Done[n.Name+" "+w.image] = r.Message
				}
				continue
			}
			t.do(a, Sent{})
		}
	}
}

// notPulled is the finding for images that will be pulled in the middle.
func notPulled(never []string) fleet.Finding {
	return fleet.Finding{
		ID: "image-not-pulled", Severity: fleet.Warning, Object: "Images",
		What:   "some images are not on the new nodes before pods move there",
		Why:    some(never),
		Remedy: remedies("see to the registry, its secrets and the right to create pods", "raise evacuation.prePull.timeout", "set evacuation.prePull.images: off and accept that these pods start late"),
	}
}
