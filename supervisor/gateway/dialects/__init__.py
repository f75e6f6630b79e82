"""What clients speak. One file per dialect: how a request reads, how a reply is passed on, how an error looks."""
