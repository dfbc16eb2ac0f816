package evacuation

import "testing"

func TestOverloadedMachineIsTold(t *testing.T) {
	if overloaded(0.5) != "" || overloaded(0.95) == "" {
		t.Error("an overloaded machine is to be told")
	}
}
