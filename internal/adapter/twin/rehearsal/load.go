package rehearsal

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	apiversion "k8s.io/apimachinery/pkg/version"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"

	"liftlock.dev/liftlock/internal/rollout"
)

// atOnce bounds how many objects are created side by side.
const atOnce = 24

// loader creates a snapshot's objects on an API server.
type loader struct {
	api    rest.Interface
	client *kubernetes.Clientset
	clock  clock
	served map[string]map[string]resource // by apiVersion and kind
	groups map[string][]string            // apiVersions of a group, the most mature and newest first

	mu     sync.Mutex
	uids   map[string]string // those in the twin, by those in the snapshot and by names
	out    rollout.Staged
	there  map[string]bool // objects that were made, by kind and key
	before map[string]bool // uids of pods as they were loaded
	// revisions are those of StatefulSets and DaemonSets, by key.
	revisions map[string]string
}

// resource is what an API server serves a kind as.
type resource struct {
	name       string
	namespaced bool
}

func newLoader(config *rest.Config, k clock) (*loader, error) {
	client, err := newClient(config)
	if err != nil {
		return nil, err
	}
	return &loader{
		api: client.Discovery().RESTClient(), client: client, clock: k,
		uids: map[string]string{}, there: map[string]bool{}, before: map[string]bool{},
		out: rollout.Staged{LeftOut: map[string]int{}, Loaded: map[string]int{}, Tried: map[string]int{}},
	}, nil
}

// newClient makes a client that is not slowed down.
func newClient(config *rest.Config) (*kubernetes.Clientset, error) {
	config = rest.CopyConfig(config)
	config.QPS, config.UserAgent = -1, "liftlock-rehearsal"
	config.WarningHandler = rest.NoWarnings{}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make a client: %w", err)
	}
	return client, nil
}

// load creates all there is to create, stage by stage, and asks about the rest.
func (l *loader) load(ctx context.Context, o *Objects) error {
	maps.Copy(l.out.LeftOut, o.LeftOut)
	l.revisions = revisionsOf(o.List)
	if err := l.discover(); err != nil {
		return err
	}
	byStage := make([][]*Object, probed+1)
	for i := range o.List {
		object := &o.List[i]
		byStage[stageOf(object.kind())] = append(byStage[stageOf(object.kind())], object)
	}
	for s, extra := range standIns(o.List) {
		for i := range extra {
			byStage[s] = append(byStage[s], &extra[i])
			if extra[i].Where != "" {
				l.out.Notes = append(l.out.Notes, extra[i].Where)
			}
		}
	}
	for s, objects := range byStage {
		if stage(s) == probed {
			if err := l.discover(); err != nil { // there may be new kinds by now
				return err
			}
		}
		group, ctx := errgroup.WithContext(ctx)
		group.SetLimit(atOnce)
		for _, object := range objects {
			group.Go(func() error { return l.take(ctx, stage(s), object) })
		}
		if err := group.Wait(); err != nil {
			return err
		}
		if stage(s) == first {
			if err := l.definitionsServed(ctx, objects); err != nil {
				return err
			}
		}
	}
	l.sort()
	return nil
}

// sort brings what was gathered side by side in order.
func (l *loader) sort() {
	slices.SortFunc(l.out.Refused, func(a, b rollout.RefusedObject) int { return cmp.Compare(a.Object, b.Object) })
	byObject := func(a, b rollout.LeftObject) int { return cmp.Compare(a.Object, b.Object) }
	slices.SortFunc(l.out.NotRehearsed, byObject)
	slices.SortFunc(l.out.NotTried, byObject)
	slices.Sort(l.out.Notes)
}

// discover asks what the API server serves.
func (l *loader) discover() error {
	_, lists, err := l.client.Discovery().ServerGroupsAndResources()
	if err != nil && len(lists) == 0 {
		return fmt.Errorf("ask what is served: %w", err)
	}
	l.served, l.groups = map[string]map[string]resource{}, map[string][]string{}
	for _, list := range lists {
		kinds := map[string]resource{}
		for i := range list.APIResources {
			r := &list.APIResources[i]
			if !strings.Contains(r.Name, "/") {
				kinds[r.Kind] = resource{r.Name, r.Namespaced}
			}
		}
		l.served[list.GroupVersion] = kinds
		group := groupOf(list.GroupVersion)
		l.groups[group] = append(l.groups[group], list.GroupVersion)
	}
	// An API server that has just started tells them in any order.
	for _, versions := range l.groups {
		slices.SortFunc(versions, newestFirst)
	}
	return nil
}

// newestFirst puts the most mature and newest of a group's apiVersions first, as
// Kubernetes ranks them.
func newestFirst(a, b string) int {
	return apiversion.CompareKubeAwareVersionStrings(b[strings.Index(b, "/")+1:], a[strings.Index(a, "/")+1:])
}

// definitionsServed waits until the API server serves the kinds that were defined.
func (l *loader) definitionsServed(ctx context.Context, objects []*Object) error {
	const patience = 30 * time.Second
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errors.New("the defined kinds are not served"))
	defer cancel()
	for _, o := range objects {
		if o.kind().name != "CustomResourceDefinition" || !l.there[o.Key()] {
			continue
		}
		served := ""
		for _, version := range items(o.Content, "spec", "versions") {
			if yes, _ := version["served"].(bool); yes {
				served = text(version, "name")
				break
			}
		}
		path := "/apis/" + text(o.Content, "spec", "group") + "/" + served
		err := until(ctx, func(ctx context.Context) (bool, error) {
			err := l.api.Get().AbsPath(path).Do(ctx).Error()
			return err == nil, nil
		})
		if err != nil {
			return fmt.Errorf("%s: %w", o.Key(), err)
		}
	}
	return nil
}

// take does what its stage wants with an object.
func (l *loader) take(ctx context.Context, s stage, o *Object) error {
	if why := outOf(o); why != "" {
		l.count(l.out.LeftOut, o)
		return nil
	}
	if why := l.alone(o); why != "" {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.out.NotRehearsed = append(l.out.NotRehearsed, rollout.LeftObject{Object: o.Key(), Why: why})
		return nil
	}
	if s == probed {
		return l.try(ctx, o)
	}
	l.mu.Lock()
	content, status := prepare(o, l.uids, l.clock)
	l.mu.Unlock()
	made, err := l.create(ctx, o, content, false)
	if err != nil || made == nil {
		return err
	}
	uid := text(made, "metadata", "uid")
	l.mu.Lock()
	l.uids[named(o.kind().name, o.namespace(), o.name())] = uid
	if was := o.uid(); was != "" {
		l.uids[was] = uid
	}
	l.there[o.Key()] = true
	if o.kind().name == "Pod" {
		l.before[uid] = true
	}
	l.mu.Unlock()
	l.count(l.out.Loaded, o)
	if len(status) > 0 {
		if err := l.restore(ctx, o, made, status); err != nil {
			return err
		}
	}
	if k := o.kind().name; k == "StatefulSet" || k == "DaemonSet" {
		return l.keepRevision(ctx, o, made)
	}
	return nil
}

func (l *loader) count(in map[string]int, o *Object) {
	l.mu.Lock()
	defer l.mu.Unlock()
	in[o.kind().String()]++
}

// replaced are the kinds whose controllers the twin runs.
var replaced = map[kind]bool{
	{"apps", "ReplicaSet"}: true, {"apps", "StatefulSet"}: true, {"apps", "DaemonSet"}: true,
	{"batch", "Job"}: true, {"", "ReplicationController"}: true,
}

// alone says why a pod would be alone in the twin, so that nothing could be
// learned from it; "" for all others.
func (l *loader) alone(o *Object) string {
	if o.kind() != (kind{"", "Pod"}) {
		return ""
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if node := text(o.Content, "spec", "nodeName"); node != "" && !l.there["Node/"+node] {
		return "its node " + node + " is not in the snapshot"
	}
	by, owned := o.controller()
	if owned && replaced[by.kind] && !l.there[named(by.kind.name, o.namespace(), by.name)] {
		return "its " + by.kind.name + " " + by.name + " is not in the snapshot, or was refused: nobody would make it anew"
	}
	return ""
}

// create makes an object, or only asks whether it could be made. It returns what
// is there now, or nil when the API server refused; only an API server that could
// not be asked is an error.
func (l *loader) create(ctx context.Context, o *Object, content map[string]any, dry bool) (map[string]any, error) {
	version := o.apiVersion()
	r, found := l.served[version][o.kind().name]
	if !found {
		// It is asked all the same: its refusal is in its own words.
		guess, _ := meta.UnsafeGuessKindToResource(schema.FromAPIVersionAndKind(version, o.kind().name))
		_, err := l.post(ctx, version, resource{guess.Resource, o.namespace() != ""}, content, dry)
		if err == nil {
			err = errors.New("the server does not name it among what it serves")
		}
		if !answered(err) {
			return nil, fmt.Errorf("create %s: %w", o.Key(), err)
		}
		as, better, ok := l.successor(o.kind())
		if dry || !ok {
			as = ""
		}
		l.refuse(o, fmt.Sprintf("%s %s: %s", version, o.kind().name, words(err)), as)
		if as == "" {
			return nil, nil
		}
		version, r = as, better
		content["apiVersion"] = as
	}
	made, err := l.post(ctx, version, r, content, dry)
	switch {
	case err == nil:
		return made, nil
	case apierrors.IsAlreadyExists(err):
		if dry {
			return content, nil
		}
		there, err := l.get(ctx, path(version, r, o.namespace())+"/"+o.name())
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", o.Key(), err)
		}
		return there, nil
	case answered(err):
		l.refuse(o, words(err), "")
		return nil, nil
	}
	return nil, fmt.Errorf("create %s: %w", o.Key(), err)
}

// successor is where a kind went whose version is gone.
func (l *loader) successor(k kind) (apiVersion string, r resource, found bool) {
	groups := []string{k.group}
	if k.group == extensions {
		groups = append(groups, "apps", "policy", "networking.k8s.io")
	}
	for _, group := range groups {
		for _, version := range l.groups[group] {
			if r, ok := l.served[version][k.name]; ok {
				return version, r, true
			}
		}
	}
	return "", resource{}, false
}

// try asks whether the API server takes an object as it is written. Nothing is
// kept, and nothing is asked of webhooks: there are none.
func (l *loader) try(ctx context.Context, o *Object) error {
	group := o.kind().group
	if _, served := l.groups[group]; !served && strings.Contains(group, ".") && !scheme.Scheme.IsGroupRegistered(group) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.out.NotTried = append(l.out.NotTried, rollout.LeftObject{Object: o.Key(), Why: "its kind is defined by a CustomResourceDefinition or an APIService of " + group + " that is not in the snapshot"})
		return nil
	}
	l.count(l.out.Tried, o)
	_, err := l.create(ctx, o, bare(o), true)
	return err
}

// restore writes the status that an object had.
func (l *loader) restore(ctx context.Context, o *Object, made, status map[string]any) error {
	err := l.writeStatus(ctx, o, made, status)
	if err != nil && answered(err) {
		l.refuse(o, "its status: "+words(err), "")
		return nil
	}
	if err != nil {
		return fmt.Errorf("write the status of %s: %w", o.Key(), err)
	}
	return nil
}

func (l *loader) writeStatus(ctx context.Context, o *Object, made, status map[string]any) error {
	version := text(made, "apiVersion")
	body, err := json.Marshal(map[string]any{"status": status})
	if err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	at := path(version, l.served[version][text(made, "kind")], o.namespace()) + "/" + o.name() + "/status"
	return l.api.Patch(types.MergePatchType).AbsPath(at).Body(body).Do(ctx).Error()
}

func (l *loader) refuse(o *Object, why, as string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	where := o.Where
	if !strings.HasPrefix(where, "items[") && !strings.HasPrefix(where, "document[") {
		where = ""
	}
	l.out.Refused = append(l.out.Refused, rollout.RefusedObject{Object: o.Key(), APIVersion: o.apiVersion(), Where: where, Why: why, LoadedAs: as})
}

// path is where objects of a kind are created.
func path(apiVersion string, r resource, namespace string) string {
	root := "/apis/" + apiVersion
	if groupOf(apiVersion) == "" {
		root = "/api/" + apiVersion
	}
	if r.namespaced {
		root += "/namespaces/" + namespace
	}
	return root + "/" + r.name
}

// post creates an object.
func (l *loader) post(ctx context.Context, apiVersion string, r resource, content map[string]any, dry bool) (map[string]any, error) {
	body, err := json.Marshal(content)
	if err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	request := l.api.Post().AbsPath(path(apiVersion, r, text(content, "metadata", "namespace"))).SetHeader("Content-Type", "application/json").Body(body)
	if dry {
		request = request.Param("dryRun", "All")
	}
	return answer(request.Do(ctx))
}

func (l *loader) get(ctx context.Context, path string) (map[string]any, error) {
	return answer(l.api.Get().AbsPath(path).Do(ctx))
}

// answer reads what the API server sent: an object, or its refusal.
func answer(result rest.Result) (map[string]any, error) {
	if err := result.Error(); err != nil { // Raw's would lack the words
		return nil, err
	}
	raw, err := result.Raw()
	if err != nil {
		return nil, err
	}
	return decode(raw)
}

// answered reports whether an error is the API server's considered answer.
func answered(err error) bool {
	status, ok := errors.AsType[*apierrors.StatusError](err)
	if !ok {
		return false
	}
	code := int(status.Status().Code)
	return code >= http.StatusBadRequest && code < http.StatusInternalServerError &&
		code != http.StatusUnauthorized && code != http.StatusRequestTimeout && code != http.StatusTooManyRequests
}

// words are what the API server said.
func words(err error) string {
	if status, ok := errors.AsType[*apierrors.StatusError](err); ok && status.Status().Message != "" {
		return status.Status().Message
	}
	return err.Error()
}

// until asks again and again, until it is so.
func until(ctx context.Context, so func(context.Context) (bool, error)) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		if done, err := so(ctx); err != nil || done {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}
