//! The table of steps: the variant, its stable id, its text, and, for failures that are known, the hint by errno. A hint that
//! depends on more than the errno is a function. Rows are in the order of a container's life, by phases.
//!
//! What is particular, a path, a pid, a name, is the object of the error and no part of a text.

use std::borrow::Cow;

use super::row::{Phase, Row};
use crate::hints;

macro_rules! steps {
    ($($phase:ident { $($step:ident: $id:literal, $text:literal $(, $how:ident $hint:tt)?;)* })*) => {
        /// A step: one thing that ctr does, and that can fail. See `docs/errors.md` for all of them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        #[repr(u16)]
        pub enum Step {
            $($(#[doc = concat!("`", $id, "`: ", $text)] $step,)*)*
        }

        pub(super) static ROWS: &[Row<Step>] = &[
            $($(Row {
                step: Step::$step,
                id: $id,
                text: $text,
                phase: Phase::$phase,
                hint: hint!($($how $hint)?),
            },)*)*
        ];
    };
}

macro_rules! hint {
    () => {
        None
    };
    (by $function:tt) => {
        Some($function)
    };
    (when { $($errno:pat => $hint:expr),* $(,)? }) => {
        Some(|errno, _| match errno {
            $($errno => Some(Cow::from($hint)),)*
            _ => None,
        })
    };
}

steps! {
    Check {
        Argument: "argument", "argument";
        Capability: "capability", "capability";
        Capabilities: "capabilities", "capabilities";
        Device: "device", "device";
        DeviceAccess: "device-access", "device access";
        DeviceRule: "device-rule", "device rule";
        SecurityPreset: "security-preset", "security preset";
        UseSecurityPreset: "use-security-preset", "use the security preset";
        PutUpLandlock: "put-up-landlock", "put up";
        RefuseSystemCalls: "refuse-system-calls", "refuse system calls with errno";
        CompileSeccompProfile: "compile-seccomp-profile", "compile the seccomp profile";
        ReadSeccompProfile: "read-seccomp-profile", "read the seccomp profile";
        AskForKernelVersion: "ask-for-kernel-version", "ask for the kernel's version";
        ReadHighestCapability: "read-highest-capability", "read the highest capability from";
        AskForRlimit: "ask-for-rlimit", "ask for the limit";
        CheckRlimit: "check-rlimit", "limit";
        LimitCpuset: "limit-cpuset", "limit it to the processors";
        LimitMemoryNodes: "limit-memory-nodes", "limit it to the memory nodes";
        LimitIo: "limit-io", "limit the device";
        LimitHugetlb: "limit-hugetlb", "limit the huge pages";
        UseApparmorLabel: "use-apparmor-label", "use the AppArmor label";
        UseSelinuxLabel: "use-selinux-label", "use the SELinux label";
        NameContainer: "name-container", "name the container";
        ChooseNetwork: "choose-network", "choose the network";
        ChooseNetworkOf: "choose-network-of", "choose the network of";
        NameNetwork: "name-network", "name the network";
        ChooseSubnet: "choose-subnet", "choose the subnet";
        ChooseAddress: "choose-address", "choose the address";
        ChooseAlias: "choose-alias", "choose the alias";
        SetEnvironmentVariable: "set-environment-variable", "set the environment variable";
        SetHostnameOf: "set-hostname-of", "set the hostname of";
        SetDomainNameOf: "set-domain-name-of", "set the domain name of";
        MountInto: "mount-into", "mount into";
        MountAt: "mount-at", "mount at";
        UseImageWithout: "use-image-without", "use the image with";
        LimitLifetime: "limit-lifetime", "limit the lifetime of";
        LimitCpuTime: "limit-cpu-time", "limit the CPU time of";
        LimitSizeOfChanges: "limit-size-of-changes", "limit the size of the changes of";
        LimitInodesOfChanges: "limit-inodes-of-changes", "limit the number of files in the changes of";
        MakeNamespacesWithout: "make-namespaces-without", "make namespaces without";
        JoinNamespacesOfKinds: "join-namespaces-of-kinds", "join namespaces of the kinds";
        LimitWithoutCgroup: "limit-without-cgroup", "limit the container";
        SetOption: "set-option", "set";
        PassDescriptorAs: "pass-descriptor-as", "pass a descriptor as";
        StartWithArgument: "start-with-argument", "start a program with the argument";
        AllocateString: "allocate-string", "allocate a string";
        OpenAnotherHandle: "open-another-handle", "open another handle on a";
        UseDescriptor: "use-descriptor", "use the descriptor";
        UseVariableSourceDateEpoch: "use-variable-source-date-epoch", "use the variable SOURCE_DATE_EPOCH";
        Internal: "internal", "ctr";
    }
    Lookup {
        FindContainer: "find-container", "find container";
        FindImage: "find-image", "find the image";
        FindArchive: "find-archive", "find the archive";
        FindStore: "find-store", "find the store";
        FindCgroup: "find-cgroup", "find the cgroup";
        FindUser: "find-user", "find the user";
        FindGroup: "find-group", "find the group";
        UseStateDirectory: "use-state-directory", "use the state directory";
        UseStore: "use-store", "use the store";
        UseCgroup: "use-cgroup", "use the cgroup";
        UseCgroupParent: "use-cgroup-parent", "use the cgroup parent";
        UseController: "use-controller", "use the";
        MakeControllerCgroup: "make-controller-cgroup", "make a";
        ListDevices: "list-devices", "list the devices of";
        GiveDevice: "give-device", "give the device", when { libc::ENOENT => hints::NO_PLACE };
        BindSource: "bind-source", "bind", when {
            libc::ENOENT => "what is bound has to exist on the host",
        };
        OpenDisk: "open-disk", "open the disk", when {
            libc::ENOTBLK | libc::EISDIR => "a disk is a block device or a file; a directory is bound",
            libc::EACCES | libc::EROFS => "it can't be written to; ask for it read-only",
            libc::EBUSY => hints::BUSY_DISK,
        };
        FindPartition: "find-partition", "find the partition";
        ReadDisk: "read-disk", "read the disk";
        OpenPath: "open-path", "open";
        UsePath: "use-path", "use";
        OpenNamespace: "open-namespace", "open the namespace", when {
            libc::ENOENT => "has that process ended?",
            libc::EACCES | libc::EPERM => hints::CLOSED_PROCESS,
        };
        JoinNamespace: "join-namespace", "join the namespace";
        LookAtThisProcess: "look-at-this-process", "look at";
    }
    Image {
        Import: "import", "import";
        ImportForPlatform: "import-for-platform", "import for the platform";
        OpenImage: "open-image", "open the image";
        UseImage: "use-image", "use the image";
        UseImageOf: "use-image-of", "use an image of";
        UseAsImage: "use-as-image", "use as an image";
        UseLayer: "use-layer", "use the layer";
        UseImageStopSignal: "use-image-stop-signal", "use the image's stop signal";
        NameImage: "name-image", "name an image";
        NameImageIn: "name-image-in", "name an image in";
        TakeNameAwayIn: "take-name-away-in", "take a name away in";
        RemoveImage: "remove-image", "remove the image";
        RemoveImageFrom: "remove-image-from", "remove an image from";
        RemoveLayerFrom: "remove-layer-from", "remove a layer from";
        NameVolume: "name-volume", "name a volume";
        FindVolume: "find-volume", "find the volume";
        CreateVolume: "create-volume", "create the volume";
        LookIntoVolume: "look-into-volume", "look into the volume";
        UseVolume: "use-volume", "use the volume";
        FillVolume: "fill-volume", "fill the volume";
        RemoveVolume: "remove-volume", "remove the volume";
        OpenStore: "open-store", "open";
        LookAtStore: "look-at-store", "look at";
        LookIntoStore: "look-into-store", "look into";
        ChmodStore: "chmod-store", "chmod";
        ListStore: "list-store", "list";
        SweepStore: "sweep-store", "sweep";
        LockStore: "lock-store", "lock";
        MakeLockIn: "make-lock-in", "make a lock in";
        CreateStore: "create-store", "create";
        CreateDirectoryIn: "create-directory-in", "create a directory in";
        LockImageIn: "lock-image-in", "lock an image in";
        OpenImageIn: "open-image-in", "open an image in";
        LookAtImageIn: "look-at-image-in", "look at an image in";
        ReadImageIn: "read-image-in", "read an image in";
        WriteImageTo: "write-image-to", "write an image to";
        ReadOwnersIn: "read-owners-in", "read whose files there are in";
        OpenLayerIn: "open-layer-in", "open a layer in";
        OpenLayer: "open-layer", "open a layer";
        KeepLayer: "keep-layer", "keep a layer";
        KeepLayerIn: "keep-layer-in", "keep a layer in";
        KeepOwners: "keep-owners", "keep";
        Unpack: "unpack", "unpack";
        HideBelow: "hide-below", "hide what lies below", when {
            // An overlay takes what hides files for its own.
            libc::EPERM => hints::STORE,
        };
        GiveAcl: "give-acl", "give an ACL to";
        GiveToOwner: "give-to-owner", "give to its owner";
        GiveToOwners: "give-to-owners", "give to their owners";
        Pack: "pack", "pack";
        Save: "save", "save";
        CommitContainer: "commit-container", "commit container";
        SnapshotContainer: "snapshot-container", "take a snapshot of container";
        CompareWithImage: "compare-with-image", "compare with its image";
        CompareWithHost: "compare-with-host", "compare with the host's directory";
        MakeImage: "make-image", "make an image of";
        GiveImageVariable: "give-image-variable", "give the image the environment variable";
        GiveImageWorkingDirectory: "give-image-working-directory", "give the image the working directory";
        GiveImageVolume: "give-image-volume", "give the image the volume";
        BuildUpon: "build-upon", "build upon";
        BuildFrom: "build-from", "build from";
        BuildInto: "build-into", "build into";
        StartThread: "start-thread", "start a thread for";
        CreateDirectoryFor: "create-directory-for", "create a directory for";
        CreateDirectory: "create-directory", "create directory";
        Create: "create", "create";
        Replace: "replace", "replace";
        Unlink: "unlink", "unlink";
        LookAtTarget: "look-at-target", "look at the target of";
        SetTime: "set-time", "set the time of";
        FindData: "find-data", "find the data of";
        ReadAttributes: "read-attributes", "read the attributes of";
        FollowLinks: "follow-links", "follow the links of";
        Link: "link", "link";
        Chmod: "chmod", "chmod";
        Chown: "chown", "chown";
        TakeBack: "take-back", "take back";
        SetAttribute: "set-attribute", "set an attribute of";
        ReadAttribute: "read-attribute", "read an attribute of";
        WriteTo: "write-to", "write to";
    }
    Prepare {
        LockRecord: "lock-record", "lock the record";
        ReadRecord: "read-record", "read the record";
        WriteRecord: "write-record", "write the record";
        WriteRecordOfContainer: "write-record-of-container", "write the record of container";
        MakeUpper: "make-upper", "make";
        MakeCgroup: "make-cgroup", "make cgroup";
        OpenCgroup: "open-cgroup", "open cgroup";
        AllowDevices: "allow-devices", "allow the devices", when {
            libc::EPERM => "the cgroup that we are in does not allow them itself, see its devices.list",
        };
        LoadDeviceList: "load-device-list", "load the list of devices of", when {
            libc::EPERM => hints::DEVICE_LIST,
        };
        AttachDeviceList: "attach-device-list", "attach the list of devices to", when {
            libc::EPERM => hints::DEVICE_LIST,
        };
        SetLimit: "set-limit", "set the";
        UseNetworks: "use-networks", "use the networks in";
        MakeNetwork: "make-network", "make the network", by refused_network;
        JoinNetwork: "join-network", "join the network", by refused_network;
        MakeLoopDevice: "make-loop-device", "make a loop device for";
        MountDisk: "mount-disk", "mount the file system of";
        MakeControlSocket: "make-control-socket", "make the control socket of";
    }
    Spawn {
        OpenDescriptorsForZygote: "open-descriptors-for-zygote", "open descriptors";
        MakeSocketForZygote: "make-socket-for-zygote", "make a socket";
        StartZygote: "start-zygote", "start a process";
        PutProgramIntoMemory: "put-program-into-memory", "put the program into memory", when {
            libc::EFBIG => hints::FILE_SIZE,
        };
        MakeLifeline: "make-lifeline", "make a lifeline";
        MakeSocketPair: "make-socket-pair", "make a control socket";
        MakeChannel: "make-channel", "make a channel";
        MakeByZygote: "make-by-zygote", "make";
        MakePid1: "make-pid1", "make";
        MakeOneMoreContainer: "make-one-more-container", "make";
        MakeContainer: "make-container", "make the container";
        CloneIntoNamespaces: "clone-into-namespaces", "clone into", when {
            libc::EPERM | libc::EACCES => hints::user_namespaces(),
            libc::ENOSPC | libc::EUSERS => hints::namespace_limits(),
            libc::EAGAIN => hints::PROCESSES,
        };
        ClaimIdRange: "claim-id-range", "claim";
        MapIds: "map-ids", "map the ids of", when {
            libc::EACCES => "do real and effective user differ? set both, setresuid(2)",
            libc::EPERM => hints::map_refused(),
        };
        MapIdsWith: "map-ids-with", "map the ids of the user namespace with";
        EnterNamespaces: "enter-namespaces", "enter", when { libc::EPERM => hints::FOREIGN_NAMESPACE };
        HandOverToPid1: "hand-over-to-pid1", "hand over to";
        SendRequestToPid1: "send-request-to-pid1", "send a request to PID 1 of";
        HearFromPid1: "hear-from-pid1", "hear from PID 1 of";
        StartHelper: "start-helper", "start";
        AskHelper: "ask-helper", "ask";
        SettleHelper: "settle-helper", "settle";
        WalkPlan: "walk-plan", "walk the plan";
    }
    HandOver {
        IdMap: "id-map", "id-map", when { libc::EINVAL => hints::IDMAP };
        IdMapBind: "id-map-bind", "id-map for a bind", when {
            libc::EINVAL => hints::IDMAP_BIND,
            libc::EPERM => hints::IDMAP_REFUSED,
        };
        IdMapDisk: "id-map-disk", "id-map the disk", when {
            libc::EINVAL => "this kernel can't id-map this file system; read-only it goes without, and root's files are nobody's inside",
        };
        HandOver: "hand-over", "hand over";
        MakeTmpfsForNodes: "make-tmpfs-for-nodes", "make a tmpfs for", when {
            libc::EPERM | libc::EACCES => hints::ZYGOTE_MOUNTS,
        };
        MakeNode: "make-node", "make a node for";
    }
    Setup {
        Unshare: "unshare", "unshare";
        UnshareTime: "unshare-time", "unshare";
        SetClock: "set-clock", "set off", when {
            libc::ERANGE => hints::CLOCK_RANGE,
        };
        EnterTimeNamespace: "enter-time-namespace", "go into";
        BecomeRoot: "become-root", "become";
        BecomeRootInJoined: "become-root-in-joined", "become root in";
        BecomeRootOfProcess: "become-root-of-process", "become root in the user namespace of process";
        EnterNamespace: "enter-namespace", "enter the namespace", when { libc::EPERM => hints::FOREIGN_NAMESPACE };
        EnterNamespacesOfProcess: "enter-namespaces-of-process", "enter the namespaces of process";
        SettleInProcess: "settle-in-process", "settle in";
        BringUpLoopback: "bring-up-loopback", "bring up";
        SetSysctl: "set-sysctl", "set the sysctl", by refused_sysctl;
        OpenProc: "open-proc", "open";
        RunProgramsUnder: "run-programs-under", "run programs under", by refused_label;
        MakeCover: "make-cover", "make a cover", when { libc::EPERM | libc::EACCES => hints::mounts() };
        Mask: "mask", "mask";
        MakePathReadOnly: "make-path-read-only", "make read-only";
        JoinNewKeyring: "join-new-keyring", "join a new keyring", when { libc::EDQUOT => hints::KEYS };
        SetRlimit: "set-rlimit", "limit";
        DropCapabilities: "drop-capabilities", "drop capabilities from";
        SetNoNewPrivs: "set-no-new-privs", "set no_new_privs in";
        MakeMountsPrivate: "make-mounts-private", "make private";
        LabelMounts: "label-mounts", "label";
        MakeTmpfs: "make-tmpfs", "make a tmpfs for", when { libc::EPERM | libc::EACCES => hints::mounts() };
        MakeProc: "make-proc", "make a proc for", when { libc::EPERM => hints::MASKED };
        ShareProc: "share-proc", "share the host's";
        MakeSysfs: "make-sysfs", "make a sysfs for", when { libc::EPERM => hints::MASKED };
        ShareSysfs: "share-sysfs", "share the host's";
        StageCgroups: "stage-cgroups", "make room for cgroups at";
        HideCgroups: "hide-cgroups", "hide the host's";
        ShareFromHost: "share-from-host", "share the host's";
        BindDev: "bind-dev", "bind";
        BindDevice: "bind-device", "bind";
        BindShm: "bind-shm", "bind";
        LinkDevFd: "link-dev-fd", "link";
        MakeDevpts: "make-devpts", "make a devpts for";
        MakeMqueue: "make-mqueue", "make a mqueue for";
        MakeEtcFiles: "make-etc-files", "make";
    }
    Rootfs {
        AttachDeviceNodes: "attach-device-nodes", "attach";
        UseAsRoot: "use-as-root", "use as root";
        MountOverlay: "mount-overlay", "mount the overlay of", when {
            libc::EINVAL => hints::OVERLAY,
            libc::EPERM | libc::ENODEV => hints::OVERLAY_MODULE,
        };
        KeepRoot: "keep-root", "keep hold of";
        BindRoot: "bind-root", "bind";
        LinkHostPath: "link-host-path", "link";
        BindHostPath: "bind-host-path", "bind";
        MakeDirectories: "make-directories", "make directories in";
        PutIntoRoot: "put-into-root", "put into the root", when {
            libc::ENOTDIR | libc::EINVAL => "the image has something else than a directory in its place",
        };
        MakeTmp: "make-tmp", "make";
        MountTmp: "mount-tmp", "make a tmpfs for", when { libc::EPERM | libc::EACCES => hints::mounts() };
        OpenEtc: "open-etc", "open";
        BindEtcFile: "bind-etc-file", "bind";
        BindIntoContainer: "bind-into-container", "bind into the container", when {
            libc::EINVAL | libc::ENOTDIR => "a directory goes onto a directory, a file onto a file",
            libc::ENOENT => hints::NO_PLACE,
        };
        MountDiskAt: "mount-disk-at", "mount a disk at", when {
            libc::EINVAL | libc::ENOTDIR => "a disk goes onto a directory",
            libc::ENOENT => hints::NO_PLACE,
        };
        MountTmpfs: "mount-tmpfs", "mount a tmpfs at", when { libc::ENOENT => hints::NO_PLACE };
        MountScratch: "mount-scratch", "mount a scratch at", when {
            libc::ENOENT => hints::NO_PLACE,
            libc::EINVAL => hints::SCRATCH,
            libc::EPERM | libc::ENODEV => hints::OVERLAY_MODULE,
        };
        MakeWorkingDirectory: "make-working-directory", "make the working directory";
        MakeVolume: "make-volume", "make the volume";
        MakeRootReadOnly: "make-root-read-only", "make read-only";
        PivotRoot: "pivot-root", "pivot_root to";
    }
    Finish {
        JoinCgroup: "join-cgroup", "join cgroup";
        UnshareCgroup: "unshare-cgroup", "unshare";
        MountCgroup: "mount-cgroup", "mount the cgroup at";
        SetHostname: "set-hostname", "set the hostname";
        SetDomainName: "set-domain-name", "set the domain name";
        Settle: "settle", "settle";
        DieWithZygote: "die-with-zygote", "die with the zygote";
        KeepLocks: "keep-locks", "keep the locks of";
        ListenOnControlSocket: "listen-on-control-socket", "listen on";
        RestrictByLandlock: "restrict-by-landlock", "restrict by Landlock";
        LoadSeccompFilter: "load-seccomp-filter", "load the seccomp filter";
    }
    Attach {
        ScheduleAsCaller: "schedule-as-caller", "schedule as its caller";
    }
    Start {
        ConnectStream: "connect-stream", "connect the stream";
        PassDescriptor: "pass-descriptor", "pass the descriptor";
        PassDescriptors: "pass-descriptors", "pass descriptors";
        OpenTerminal: "open-terminal", "open", when { libc::ENOSPC => hints::TERMINALS };
        OpenNull: "open-null", "open";
        StartProcess: "start-process", "start", when { libc::EAGAIN => hints::CONTAINER_PROCESSES };
        JoinProcessGroup: "join-process-group", "join the process group";
        ControlTerminal: "control-terminal", "control";
        SetUmask: "set-umask", "set the umask";
        ScheduleProgram: "schedule-program", "schedule";
        BecomeUser: "become-user", "become user", when {
            libc::EINVAL => "that id is not mapped in the container's user namespace",
        };
        ChangeToWorkingDirectory: "change-to-working-directory", "change to the working directory";
        StartProgram: "start-program", "start";
        LookAtProgram: "look-at-program", "look at";
        LookIntoContainer: "look-into-container", "look into container";
    }
    Run {
        UseContainer: "use-container", "use container";
        JoinContainer: "join-container", "join container";
        LookAtContainer: "look-at-container", "look at container";
        OpenNamespaceOfContainer: "open-namespace-of-container", "open the namespace of container";
        OpenNamespacesOfPid1: "open-namespaces-of-pid1", "open the namespaces of";
        JoinNamespacesOfProcess: "join-namespaces-of-process", "join the namespaces of process";
        LookAtNamespacesOfProcess: "look-at-namespaces-of-process", "look at the namespaces of process";
        SendRequestToContainer: "send-request-to-container", "send a request to container";
        HearFromContainer: "hear-from-container", "hear from container";
        LookIntoRoot: "look-into-root", "look into the root of container";
        OpenInRoot: "open-in-root", "open";
        CopyTo: "copy-to", "copy to", when { libc::ENOSPC => hints::FULL };
        CopyFrom: "copy-from", "copy";
        OpenInside: "open-inside", "open", when { libc::ELOOP => hints::LINKS_INSIDE };
        LookAtInside: "look-at-inside", "look at", when { libc::ELOOP => hints::LINKS_INSIDE };
        ListInside: "list-inside", "list", when { libc::ELOOP => hints::LINKS_INSIDE };
        FindScratch: "find-scratch", "find the scratch mount at";
        ApplyScratch: "apply-scratch", "apply the changes of";
        DiscardScratch: "discard-scratch", "discard the changes of";
        Unmount: "unmount", "unmount", when { libc::EBUSY => hints::BUSY_MOUNT };
        ConnectTo: "connect-to", "connect to", when {
            libc::ECONNREFUSED => "does anything listen there yet? wait_for_port waits for that",
            libc::EADDRNOTAVAIL | libc::ENETUNREACH => hints::LOOPBACK_ONLY,
        };
        ListenAt: "listen-at", "listen at", when {
            libc::EADDRINUSE => "something listens there already; port 0 is one that is free",
            libc::EADDRNOTAVAIL => hints::LOOPBACK_ONLY,
        };
        PublishPort: "publish-port", "publish", when {
            libc::EADDRINUSE => hints::PORT_IN_USE,
            libc::EADDRNOTAVAIL => "this machine has no such address; 127.0.0.1 is there always",
            libc::EACCES => "ports below net.ipv4.ip_unprivileged_port_start, which is 1024 mostly, are root's",
        };
        StopForwarder: "stop-forwarder", "stop publishing";
        LimitContainer: "limit-container", "limit container";
        CountUsage: "count-usage", "count what is used by container";
        WatchContainer: "watch-container", "watch container";
        WatchPressure: "watch-pressure", "watch the pressure of";
        SetMemoryLimit: "set-memory-limit", "set the memory limit to";
        SetMemoryHigh: "set-memory-high", "set memory_high to";
        SetMemoryLow: "set-memory-low", "set memory_low to";
        SetSwapLimit: "set-swap-limit", "set the swap limit to";
        SetPidsLimit: "set-pids-limit", "set the pids limit to";
        SetProcessorLimit: "set-processor-limit", "set the processor limit to";
        SetProcessorWeight: "set-processor-weight", "set the processor weight to";
        SetIoWeight: "set-io-weight", "set the io weight to";
        MoveIntoCgroup: "move-into-cgroup", "move into the";
        PauseContainer: "pause-container", "pause container";
        PauseCgroup: "pause-cgroup", "pause the processes of cgroup";
        ResumeContainer: "resume-container", "resume container";
        ResumeCgroup: "resume-cgroup", "resume the processes of cgroup";
        ExplainContainer: "explain-container", "explain container";
        ReadNameOfContainer: "read-name-of-container", "read the name of a container";
        LookUpHostPid: "look-up-host-pid", "look up the host's pid of process";
        WaitForProcess: "wait-for-process", "wait for process";
        WaitForProcessInTime: "wait-for-process-in-time", "wait for a process";
        WaitForProgram: "wait-for-program", "wait for a program";
        SendSignal: "send-signal", "send the signal";
        SignalProcess: "signal-process", "signal process";
        SignalProcessGroup: "signal-process-group", "signal the process group";
        SignalAllProcesses: "signal-all-processes", "signal all processes of container";
        ResizeTerminal: "resize-terminal", "resize the terminal of process";
        TakeStream: "take-stream", "take the caller's end of";
    }
    End {
        StopContainer: "stop-container", "stop container";
        KillPid1: "kill-pid1", "kill PID 1 of container";
        KillProcessOfCgroup: "kill-process-of-cgroup", "kill a process of cgroup";
        KillProcessesOfCgroup: "kill-processes-of-cgroup", "kill the processes of cgroup";
        KillProcessesOfContainer: "kill-processes-of-container", "kill the processes of container";
        RemoveCgroup: "remove-cgroup", "remove cgroup";
        RemoveControlSocket: "remove-control-socket", "remove the control socket of";
        RemoveTree: "remove-tree", "remove";
        FreeLoopDevice: "free-loop-device", "free the loop device";
        PutRecordAside: "put-record-aside", "put aside the damaged record";
        LeaveNetwork: "leave-network", "leave the network";
        RemoveNetwork: "remove-network", "remove the network";
        SweepRecord: "sweep-record", "sweep";
        LookAtOwner: "look-at-owner", "look at the owner of container";
    }
    Probe {
        ProbeCall: "probe-call", "call";
        ProbeSeccomp: "probe-seccomp", "load";
        ProbeLandlock: "probe-landlock", "ask for";
        ProbeUnshare: "probe-unshare", "unshare";
        ProbeBind: "probe-bind", "bind, change and move";
        ProbeDetachedMount: "probe-detached-mount", "make and clone a mount by";
    }
    Any {
        Open: "open", "open";
        LookAt: "look-at", "look at";
        Read: "read", "read";
        Write: "write", "write";
        List: "list", "list";
    }
}

fn refused_label(errno: i32, _: &str) -> Option<Cow<'static, str>> {
    Some(hints::refused_label(errno)).filter(|hint| !hint.is_empty()).map(Cow::from)
}

fn refused_network(errno: i32, _: &str) -> Option<Cow<'static, str>> {
    Some(match errno {
        libc::EPERM | libc::EACCES => hints::NETWORK_RIGHTS.into(),
        libc::EOPNOTSUPP | libc::EAFNOSUPPORT | libc::ENOSYS => {
            "this kernel has no bridge or no veth, or no IPv6 if the network has it: modprobe bridge veth".into()
        }
        libc::EXFULL => "a bridge has at most 1024 members".into(),
        _ => return None,
    })
}

fn refused_sysctl(errno: i32, object: &str) -> Option<Cow<'static, str>> {
    let hint = match errno {
        libc::EINVAL | libc::ERANGE if object == "net.ipv4.ping_group_range" => hints::PING_GROUPS,
        libc::EINVAL | libc::ERANGE => "the kernel doesn't take this value for it",
        libc::ENOENT => {
            "this kernel has no such parameter, or not in a namespace of a container's own, or its module is not loaded"
        }
        libc::EPERM | libc::EACCES | libc::EROFS => {
            "the kernel lets only the root of the machine set it, or it can't be set here at all"
        }
        _ => return None,
    };
    Some(hint.into())
}
