namespace Trainer.Cli;

/// <summary>What the process ends with.</summary>
internal enum ExitCode
{
    /// <summary>The work is done.</summary>
    Done = 0,

    /// <summary>The request was fine and the work failed.</summary>
    Failed = 1,

    /// <summary>The request is wrong.</summary>
    WrongRequest = 2,

    /// <summary>Interrupted by the user; as shells report SIGINT.</summary>
    Interrupted = 130,
}
