package Clock;
sub now { return "It is " . scalar(localtime) . " already" }
1;
