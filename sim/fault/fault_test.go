package fault

import (
	"encoding/json"
	"testing"
	"time"
)

func TestStrike(t *testing.T) {
	t.Parallel()
	get := Call{Operation: "ManagedClusters_Get", Method: "GET", Cluster: "prod-1", Subscription: "s"}
	for name, test := range map[string]struct {
		fault Fault
		call  Call
		after time.Duration
		want  []bool // by call
	}{
		"once":              {Fault{Effect: Throttle}, get, 0, []bool{true, false, false}},
		"third":             {Fault{Effect: Throttle, Nth: 3}, get, 0, []bool{false, false, true, false}},
		"second and third":  {Fault{Effect: Throttle, Nth: 2, Times: 2}, get, 0, []bool{false, true, true, false}},
		"always":            {Fault{Effect: Throttle, Times: -1}, get, 0, []bool{true, true, true}},
		"pattern":           {Fault{Effect: Throttle, Match: Match{Operation: "managedclusters_*", Cluster: "PROD-*"}}, get, 0, []bool{true}},
		"other cluster":     {Fault{Effect: Throttle, Match: Match{Cluster: "dev"}}, get, 0, []bool{false}},
		"other method":      {Fault{Effect: Throttle, Match: Match{Method: "PUT"}}, get, 0, []bool{false}},
		"asleep":            {Fault{Effect: Throttle, After: Duration(time.Minute)}, get, 0, []bool{false, false}},
		"awake":             {Fault{Effect: Throttle, After: Duration(time.Minute)}, get, 2 * time.Minute, []bool{true, false}},
		"while it lasts":    {Fault{Effect: Unreachable, For: Duration(time.Minute)}, get, 30 * time.Second, []bool{true, true, true}},
		"once it is over":   {Fault{Effect: Unreachable, For: Duration(time.Minute)}, get, 2 * time.Minute, []bool{false}},
		"another class":     {Fault{Effect: OperationFails, Code: "X"}, get, 0, []bool{false}},
		"nothing but times": {Fault{Effect: Error, Code: "X", Times: 2}, get, 0, []bool{true, true, false}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			now := time.Unix(0, 0)
			set := NewSet(func() time.Time { return now })
			if _, err := set.Add(test.fault); err != nil {
				t.Fatal(err)
			}
			now = now.Add(test.after)
			for i, want := range test.want {
				if got := len(set.Strike(CallClass, test.call)) == 1; got != want {
					t.Errorf("call %d struck: %v, want %v", i+1, got, want)
				}
			}
		})
	}
}

func TestDue(t *testing.T) {
	t.Parallel()
	now := time.Unix(0, 0)
	set := NewSet(func() time.Time { return now })
	for _, f := range []Fault{
		{ID: "now", Effect: ClusterDeleted, Match: Match{Cluster: "c"}},
		{ID: "later", Effect: ClusterDeleted, Match: Match{Cluster: "c"}, After: Duration(time.Hour)},
		{ID: "by call", Effect: ClusterDeleted, Match: Match{Cluster: "c", Operation: "X"}},
		{ID: "no world", Effect: Throttle},
	} {
		if _, err := set.Add(f); err != nil {
			t.Fatal(err)
		}
	}
	due, next := set.Due()
	if len(due) != 1 || due[0].ID != "now" || !next.Equal(now.Add(time.Hour)) {
		t.Errorf("due %v, next %s", due, next)
	}
	now = now.Add(2 * time.Hour)
	due, next = set.Due()
	if len(due) != 1 || due[0].ID != "later" || !next.IsZero() {
		t.Errorf("due %v, next %s", due, next)
	}
	if struck := set.Strike(WorldClass, Call{Operation: "X", Cluster: "c"}); len(struck) != 1 {
		t.Errorf("struck %v", struck)
	}
}

func TestSetKeepsIDsApart(t *testing.T) {
	t.Parallel()
	set := NewSet(time.Now)
	first, err := set.Add(Fault{Effect: Throttle})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := set.Add(Fault{ID: first, Effect: Throttle}); err == nil {
		t.Error("an id was taken twice")
	}
	if set.Remove("other") || !set.Remove(first) || len(set.List()) != 0 {
		t.Error("removing by id")
	}
}

func TestDurationsReadAsWritten(t *testing.T) {
	t.Parallel()
	var f Fault
	if err := json.Unmarshal([]byte(`{"effect":"latency","delay":"1m30s"}`), &f); err != nil || f.Delay != Duration(90*time.Second) {
		t.Errorf("%v %v", f.Delay, err)
	}
	if err := json.Unmarshal([]byte(`{"effect":"latency","delay":"soon"}`), &f); err == nil {
		t.Error("soon was taken for a duration")
	}
}
