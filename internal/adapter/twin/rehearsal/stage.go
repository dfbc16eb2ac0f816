package rehearsal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"liftlock.dev/liftlock/internal/adapter/twin"
	"liftlock.dev/liftlock/internal/adapter/twin/kwok"
	"liftlock.dev/liftlock/internal/adapter/twin/process"
	"liftlock.dev/liftlock/internal/domain/evacuate"
	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/rollout"
)

// Times are how long things take in the cluster.
type Times struct {
	// Start is how long pods take to start, by workload; Other is for all others.
	Start map[string]evacuate.Start
	Other evacuate.Start
	// Never start, of these workloads none is Ready in the cluster.
	Never []string
	// End is how long a pod takes to end, if its grace period is longer.
	End time.Duration
	// Node is how long a new node takes to be Ready.
	Node time.Duration
	// Job is how long the pod of a Job still runs.
	Job time.Duration
}

// Options say what is put on a stage.
type Options struct {
	// BinDir and StateDir are those of twin.Options.
	BinDir, StateDir string
	Cluster          fleet.Cluster // Version is the one that the stage has
	Objects          *Objects
	PoolLabel        string
	TakenAt          time.Time
	Times            Times
	Speed            float64
	// Connect makes a way to API servers that are reached by a kubeconfig.
	Connect func(kubeconfig func(context.Context, fleet.Cluster) ([]byte, error)) rollout.Connector
	Log     *slog.Logger
}

// Stage is a control plane with a cluster's objects on it. It implements
// rollout.Stage; Close ends it.
type Stage struct {
	options   Options
	plane     *twin.ControlPlane
	kwok      *process.Process
	client    *kubernetes.Clientset
	loader    *loader
	cloud     *cloud
	kubelets  *kubelets
	connector rollout.Connector
	staged    rollout.Staged
}

var _ rollout.Stage = (*Stage)(nil)

// controllers keep what a snapshot cannot have in order: owners that are not in
// it, disks that nobody attaches, nodes whose kubelets nobody simulates, and
// schedules that would make new pods.
var controllers = []string{
	"--controllers=*,-garbage-collector-controller,-persistentvolume-attach-detach-controller,-cronjob-controller,-ttl-after-finished-controller",
	"--node-monitor-grace-period=24h",
}

// growth of memory before garbage is collected, in percent: a stage lives for
// minutes, and processor time is what it lacks.
const growth = 200

// Open starts a control plane, loads the objects, and returns once its controllers
// have seen them. When it fails, nothing is left.
func Open(ctx context.Context, o Options) (_ *Stage, err error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if err := kwok.Look(o.BinDir); err != nil {
		return nil, err
	}
	s := &Stage{options: o}
	s.plane, err = twin.New(twin.Options{
		BinDir: o.BinDir, StateDir: o.StateDir, Name: o.Cluster.Name, Version: o.Cluster.Version.String(),
		Growth: growth, Load: s.load, Controllers: controllers, Logger: o.Log,
	})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close(context.WithoutCancel(ctx)))
		}
	}()
	if err := s.plane.Start(ctx); err != nil {
		return nil, err
	}
	if s.client, err = newClient(s.plane.Config()); err != nil {
		return nil, err
	}
	stages := s.lives()
	s.kwok, err = kwok.Start(ctx, kwok.Options{BinDir: o.BinDir, StateDir: s.plane.StateDir(), Growth: growth, Stages: stages})
	if err != nil {
		return nil, err
	}
	address, err := url.Parse(s.plane.Config().Host)
	if err != nil {
		return nil, fmt.Errorf("address of the twin: %w", err)
	}
	s.options.Cluster.Endpoint = address.Host
	s.connector = o.Connect(func(context.Context, fleet.Cluster) ([]byte, error) { return s.plane.Kubeconfig(), nil })
	s.cloud = newCloud(context.WithoutCancel(ctx), s)
	if s.kubelets, err = startKubelets(ctx, s); err != nil {
		return nil, err
	}
	if err := s.settle(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// load fills the control plane.
func (s *Stage) load(ctx context.Context, config *rest.Config) error {
	var err error
	s.loader, err = newLoader(config, clock{takenAt: s.options.TakenAt, now: time.Now(), speed: s.options.Speed})
	if err != nil {
		return err
	}
	return s.loader.load(ctx, s.options.Objects)
}

// lives are the lives of the stage's pods.
func (s *Stage) lives() kwok.Stages {
	t := s.options.Times
	return kwok.Stages{
		Prefix:      prefix,
		Start:       startOf(t, s.options.Speed),
		RunsFor:     fmt.Sprintf("%q", span(t.Job, t.Job, s.options.Speed)),
		Termination: fmt.Sprintf("%q", span(t.End, t.End, s.options.Speed)),
		JobsOnly:    true,
		// Stand-ins of controllers make pods of the same name again, too.
		SameName: `.kind != "ReplicaSet" and .kind != "DaemonSet" and .kind != "Job" and .kind != "ReplicationController"`,
	}
}

// startOf is a jq expression for how long a pod takes to start: by its workload,
// which is its controller, or the Deployment of its ReplicaSet.
func startOf(t Times, speed float64) string {
	var table strings.Builder
	write := func(key, value string) {
		if table.Len() > 0 {
			table.WriteString(",")
		}
		fmt.Fprintf(&table, "%q:%q", key, value)
	}
	for _, key := range slices.Sorted(maps.Keys(t.Start)) {
		if !slices.Contains(t.Never, key) {
			write(ownKey(key), span(t.Start[key].Least, t.Start[key].Most, speed))
		}
	}
	for _, key := range t.Never {
		write(ownKey(key), "never")
	}
	return `.metadata.annotations["` + startKey + `"] // (` +
		`([.metadata.ownerReferences[]? | select(.controller)] | .[0] // {kind:"Pod"}) as $o` +
		` | (.metadata.labels["pod-template-hash"] // "") as $h` +
		` | (if $o.kind == "ReplicaSet" and $h != "" then "Deployment" else $o.kind end) as $kind` +
		` | ($kind + "/" + .metadata.namespace + "/" + (($o.name // .metadata.name) | if $h != "" then rtrimstr("-" + $h) else . end)) as $key` +
		` | ({` + table.String() + `}[$key] // "` + span(t.Other.Least, t.Other.Most, speed) + `"))`
}

// ownKey is a workload by its controller's own kind: "Kafka/shop/a" of
// "Other/shop/Kafka:a".
func ownKey(workload string) string {
	rest, other := strings.CutPrefix(workload, string(fleet.Other)+"/")
	if !other {
		return workload
	}
	namespace, named, _ := strings.Cut(rest, "/")
	kind, name, _ := strings.Cut(named, ":")
	return kind + "/" + namespace + "/" + name
}

// span writes a range as KWOK reads it, at the stage's speed.
func span(least, most time.Duration, speed float64) string {
	at := func(d time.Duration) int64 { return max(1, int64(float64(d.Milliseconds())/speed)) }
	return fmt.Sprintf("%dms-%dms", at(least), max(at(least), at(most)))
}

// settle waits until controllers have seen all objects, and finds out what they
// did to pods though nothing was asked of them.
func (s *Stage) settle(ctx context.Context) error {
	const patience = 2 * time.Minute
	waiting := ""
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := until(ctx, func(ctx context.Context) (bool, error) {
		if err := s.alive(); err != nil {
			return false, err
		}
		var err error
		waiting, err = s.unsettled(ctx)
		return waiting == "" && err == nil, err
	})
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		s.loader.out.Notes = append(s.loader.out.Notes, "after "+patience.String()+" "+waiting)
	case err != nil:
		return fmt.Errorf("wait for controllers: %w", err)
	}
	s.staged = s.loader.out
	restarted, err := s.restarted(context.WithoutCancel(ctx))
	if err != nil {
		return err
	}
	s.staged.Restarted = restarted
	return nil
}

// alive says what has ended that must run.
func (s *Stage) alive() error {
	if s.kwok != nil {
		if err := s.kwok.Exited(); err != nil {
			return err
		}
	}
	return nil
}

// unsettled says what a controller has not seen yet, or "".
func (s *Stage) unsettled(ctx context.Context) (string, error) {
	nodes, err := s.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return "", err
	}
	for i := range nodes.Items {
		n := &nodes.Items[i]
		if ready(n) && slices.ContainsFunc(n.Spec.Taints, func(t corev1.Taint) bool { return t.Key == corev1.TaintNodeNotReady }) {
			return "node " + n.Name + " is not seen to be Ready", nil
		}
	}
	budgets, err := s.client.PolicyV1().PodDisruptionBudgets("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return "", err
	}
	for i := range budgets.Items {
		if b := &budgets.Items[i]; b.Status.ObservedGeneration < b.Generation {
			return "budget " + b.Namespace + "/" + b.Name + " is not worked out", nil
		}
	}
	return s.unsettledControllers(ctx)
}

func ready(n *corev1.Node) bool {
	return slices.ContainsFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	})
}

// unsettledControllers says which controller of pods was not looked at yet, or "".
func (s *Stage) unsettledControllers(ctx context.Context) (string, error) {
	apps := s.client.AppsV1()
	deployments, err := apps.Deployments("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return "", err
	}
	for i := range deployments.Items {
		if d := &deployments.Items[i]; d.Status.ObservedGeneration < d.Generation {
			return "Deployment " + d.Namespace + "/" + d.Name + " is not seen", nil
		}
	}
	sets, err := apps.ReplicaSets("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return "", err
	}
	for i := range sets.Items {
		if r := &sets.Items[i]; r.Status.ObservedGeneration < r.Generation {
			return "ReplicaSet " + r.Namespace + "/" + r.Name + " is not seen", nil
		}
	}
	stateful, err := apps.StatefulSets("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return "", err
	}
	for i := range stateful.Items {
		if r := &stateful.Items[i]; r.Status.ObservedGeneration < r.Generation {
			return "StatefulSet " + r.Namespace + "/" + r.Name + " is not seen", nil
		}
	}
	daemons, err := apps.DaemonSets("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return "", err
	}
	for i := range daemons.Items {
		d := &daemons.Items[i]
		if d.Status.ObservedGeneration < d.Generation {
			return "DaemonSet " + d.Namespace + "/" + d.Name + " is not seen", nil
		}
	}
	return "", nil
}

// restarted finds pods that went, or came, though nothing has begun.
func (s *Stage) restarted(ctx context.Context) ([]rollout.LeftObject, error) {
	list, err := s.client.CoreV1().Pods("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("look at the pods: %w", err)
	}
	there := map[string]bool{}
	out := []rollout.LeftObject{}
	for i := range list.Items {
		p := &list.Items[i]
		there[string(p.UID)] = true
		key := "Pod/" + p.Namespace + "/" + p.Name
		switch {
		case !s.loader.before[string(p.UID)]:
			out = append(out, rollout.LeftObject{Object: key, Why: "its controller made it as soon as it ran: there were fewer pods than it wants"})
		case p.DeletionTimestamp != nil:
			out = append(out, rollout.LeftObject{Object: key, Why: "its controller ends it as soon as it runs: it is not as its template wants, or there are more pods than it wants"})
		}
	}
	for uid := range s.loader.before {
		if !there[uid] {
			out = append(out, rollout.LeftObject{Object: "Pod with uid " + uid, Why: "it was deleted as soon as controllers ran"})
		}
	}
	slices.SortFunc(out, func(a, b rollout.LeftObject) int { return cmp.Compare(a.Object, b.Object) })
	return out, nil
}

// Staged implements rollout.Stage.
func (s *Stage) Staged() rollout.Staged { return s.staged }

// Cluster is the stage as its cloud has it at the beginning.
func (s *Stage) Cluster() fleet.Cluster { return s.options.Cluster }

// Reach implements rollout.Stage.
func (s *Stage) Reach() rollout.Reach {
	return rollout.Reach{Provider: s.cloud, Connector: s.connector}
}

// Begin implements rollout.Stage.
func (s *Stage) Begin() { s.kubelets.begin(time.Now()) }

// Seen implements rollout.Stage.
func (s *Stage) Seen() rollout.StageSight { return s.kubelets.sight() }

// Close ends everything and removes the state folder.
func (s *Stage) Close(ctx context.Context) error {
	var errs []error
	if s.cloud != nil {
		s.cloud.close()
	}
	if s.kubelets != nil {
		s.kubelets.close()
	}
	if s.kwok != nil {
		errs = append(errs, s.kwok.Stop(ctx, 0))
	}
	errs = append(errs, s.plane.Close(ctx))
	return errors.Join(errs...)
}

// at is a time of the cluster at the stage's speed.
func (s *Stage) at(d time.Duration) time.Duration {
	return time.Duration(float64(d) / s.options.Speed)
}
